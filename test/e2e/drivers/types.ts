/** One value of each common type, as SQL; every driver asks for these. */
export const values: Readonly<Record<string, string>> = {
  bool: 'true',
  int2: "'-32768'::int2",
  int4: '2147483647',
  int8: '9223372036854775807::int8',
  float4: '1.5::float4',
  float8: "'-Infinity'::float8",
  numeric: '12345678901234567890.0123456789::numeric',
  nan: "'NaN'::numeric",
  money: "'12.34'::money",
  text: "'snow ☃ \\ '' \"'::text",
  empty: "''::text",
  long: "repeat('0123456789', 20000)",
  varchar: "'abc'::varchar(10)",
  char: "'abc'::char(10)",
  bytea: "'\\x00ff7f80'::bytea",
  date: "'2026-02-28'::date",
  time: "'23:59:59.999999'::time",
  timetz: "'04:05:06.789+05:30'::timetz",
  timestamp: "'2026-11-21 12:34:56.789012'::timestamp",
  timestamptz: "'2026-11-21 12:34:56.789012+02'::timestamptz",
  interval: "'1 year 2 months 3 days 04:05:06.7'::interval",
  uuid: "'6a4a7f5e-7c1f-4f0e-9f43-0a8a1f0a4e11'::uuid",
  json: '\'{"a": [1, null, "x"]}\'::json',
  jsonb: '\'{"b": {"c": 1.50}}\'::jsonb',
  inet: "'2001:db8::1/64'::inet",
  cidr: "'192.0.2.0/24'::cidr",
  macaddr: "'08:00:2b:01:02:03'::macaddr",
  bit: "B'10101'",
  varbit: "'1011'::varbit",
  int_array: "'{{1,2},{NULL,4}}'::int4[]",
  text_array: "array['a', NULL, '{\"x\"}']",
  range: "'[1,5)'::int4range",
  multirange: "'{[1,3),[7,9)}'::int4multirange",
  tsrange: "tsrange('2026-01-01', '2026-02-01')",
  point: "'(1.5,-2)'::point",
  box: "'((1,2),(3,4))'::box",
  tsvector: "'quick:2 fox:4'::tsvector",
  enum: "'shipped'::alice.state",
  composite: "row(7, 'seven')::alice.pair",
  oid: '1259::oid',
  regclass: "'pg_class'::regclass",
  lsn: "'16/B374D848'::pg_lsn",
  null: 'NULL::text',
}

/** Types that several drivers need to be there. */
export const definitions = `
  CREATE ROLE alice LOGIN;
  CREATE SCHEMA alice AUTHORIZATION alice;
  CREATE TYPE alice.state AS ENUM ('new', 'shipped');
  CREATE TYPE alice.pair AS (number int, word text);
  GRANT USAGE ON TYPE alice.state, alice.pair TO alice;
  CREATE TABLE alice.smith (id int PRIMARY KEY, word text);
  ALTER TABLE alice.smith OWNER TO alice;
  INSERT INTO alice.smith SELECT n, 'word ' || n FROM generate_series(1, 50) n;`
