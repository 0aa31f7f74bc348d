/** PostgreSQL's own types by their object ids, which never change (src/include/catalog/pg_type.dat). */
export const typeIds = {
  bool: 16,
  bytea: 17,
  char: 18,
  name: 19,
  int8: 20,
  int2: 21,
  int4: 23,
  regproc: 24,
  text: 25,
  oid: 26,
  tid: 27,
  xid: 28,
  cid: 29,
  json: 114,
  xml: 142,
  point: 600,
  lseg: 601,
  path: 602,
  box: 603,
  polygon: 604,
  line: 628,
  cidr: 650,
  float4: 700,
  float8: 701,
  unknown: 705,
  circle: 718,
  macaddr8: 774,
  money: 790,
  macaddr: 829,
  inet: 869,
  bpchar: 1042,
  varchar: 1043,
  date: 1082,
  time: 1083,
  timestamp: 1114,
  timestamptz: 1184,
  interval: 1186,
  timetz: 1266,
  bit: 1560,
  varbit: 1562,
  numeric: 1700,
  refcursor: 1790,
  regclass: 2205,
  regtype: 2206,
  record: 2249,
  void: 2278,
  uuid: 2950,
  pg_lsn: 3220,
  tsvector: 3614,
  tsquery: 3615,
  jsonb: 3802,
  int4range: 3904,
  numrange: 3906,
  tsrange: 3908,
  tstzrange: 3910,
  daterange: 3912,
  int8range: 3926,
  jsonpath: 4072,
  int4multirange: 4451,
  nummultirange: 4532,
  tsmultirange: 4533,
  tstzmultirange: 4534,
  datemultirange: 4535,
  int8multirange: 4536,
  pg_snapshot: 5038,
  xid8: 5069,
} as const

type TypeName = keyof typeof typeIds

/** The arrays of these types. */
const arrayIds: Partial<Record<TypeName, number>> = {
  ...{bool: 1000, bytea: 1001, char: 1002, name: 1003, int8: 1016, int2: 1005, int4: 1007, regproc: 1008, text: 1009},
  ...{oid: 1028, tid: 1010, xid: 1011, cid: 1012, json: 199, xml: 143, point: 1017, lseg: 1018, path: 1019, box: 1020},
  ...{polygon: 1027, line: 629, cidr: 651, float4: 1021, float8: 1022, circle: 719, macaddr8: 775, money: 791},
  ...{
    macaddr: 1040,
    inet: 1041,
    bpchar: 1014,
    varchar: 1015,
    date: 1182,
    time: 1183,
    timestamp: 1115,
    timestamptz: 1185,
  },
  ...{interval: 1187, timetz: 1270, bit: 1561, varbit: 1563, numeric: 1231, refcursor: 2201, regclass: 2210},
  ...{regtype: 2211, uuid: 2951, pg_lsn: 3221, tsvector: 3643, tsquery: 3645, jsonb: 3807, jsonpath: 4073, xid8: 271},
  pg_snapshot: 5039,
  ...{int4range: 3905, numrange: 3907, tsrange: 3909, tstzrange: 3911, daterange: 3913, int8range: 3927},
  ...{int4multirange: 6150, nummultirange: 6151, tsmultirange: 6152, tstzmultirange: 6153, datemultirange: 6155},
  int8multirange: 6157,
}

/** An array type's object id with that of its elements. */
export const elementTypes: ReadonlyMap<number, number> = new Map(
  Object.entries(arrayIds).map(([name, id]) => [id, typeIds[name as TypeName]]),
)

const names: ReadonlyMap<number, string> = new Map([
  ...Object.entries(typeIds).map(([name, id]): [number, string] => [id, name]),
  ...Object.entries(arrayIds).map(([name, id]): [number, string] => [id, `${name}[]`]),
])

/** A type's name; its object id for one that is not PostgreSQL's own. */
export function typeName(id: number): string {
  return names.get(id) ?? String(id)
}
