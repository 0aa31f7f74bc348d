"""What psycopg2 (libpq) gets from the database that PG* names, as JSON. The values to ask for come on standard input."""

import io
import json
import select
import sys

import psycopg2
import psycopg2.extensions

values = json.load(sys.stdin)
connection = psycopg2.connect("")
connection.set_client_encoding("UTF8")
found = {}


def run(sql, parameters=None, cursor=None):
    with cursor or connection.cursor() as c:
        c.execute(sql, parameters)
        rows = c.fetchall() if c.description else []
        return {
            "rows": [[repr(v) if not isinstance(v, memoryview) else bytes(v).hex() for v in row] for row in rows],
            "columns": [[d.name, d.type_code] for d in c.description or []],
            "status": c.statusmessage,
            "count": c.rowcount,
        }


def failure(sql, parameters=None):
    try:
        run(sql, parameters)
        return "no error"
    except psycopg2.Error as error:
        diagnostics = error.diag
        return [
            type(error).__name__,
            error.pgcode,
            diagnostics.message_primary,
            diagnostics.statement_position,
            diagnostics.table_name,
            connection.info.transaction_status,
        ]


connection.autocommit = True
found["values"] = {name: run("select " + sql) for name, sql in values.items()}
found["parameters"] = run(
    "select %s, %s, %s, %s::jsonb, %s", (1, "it's\n☃", [1, None], '{"a": 1}', psycopg2.Binary(b"\0\xff"))
)
found["prepared"] = [
    run("prepare p (int) as select $1 * 2"),
    run("execute p (21)"),
    failure("execute p ('x')"),
    run("deallocate p"),
    failure("execute p (1)"),
]
found["several"] = run("create temp table t (id int primary key, word text); insert into t values (1, 'a'); select 7")
found["empty"] = failure(";")
connection.autocommit = False

found["errors"] = [
    run("insert into t values (2, 'b')"),
    failure("insert into t values (%s, 'c')", (1,)),
    failure("select 1"),
]
connection.rollback()
with connection.cursor() as c:
    c.execute("savepoint before")
    found["errors"].append(failure("select * from nowhere"))
    c.execute("rollback to before")
    found["errors"].append(run("select count(*) from t"))
connection.commit()

with connection.cursor("named") as c:
    c.itersize = 3
    c.execute("select n, n * n from generate_series(1, 10) n")
    found["cursor"] = [c.fetchmany(2), c.fetchone(), c.fetchall()]
connection.commit()


class Reader:
    def __init__(self):
        self.left = 20000

    def read(self, size=-1):
        count = min(self.left, 100)
        self.left -= count
        return "".join(f"{self.left + n}\tw\n" for n in range(count, 0, -1))


class Writer:
    def __init__(self):
        self.size = 0
        self.head = b""

    def write(self, data):
        data = data if isinstance(data, bytes) else data.encode()
        self.size += len(data)
        self.head = (self.head + data)[:60]


with connection.cursor() as c:
    c.execute("create temp table copied (id int, word text)")
    c.copy_expert("copy copied from stdin", Reader())
    found["copied"] = run("select count(*), sum(id) from copied")
    text, binary = Writer(), Writer()
    c.copy_expert("copy (select * from copied order by id) to stdout", text)
    c.copy_expert("copy (select id from copied order by id limit 100) to stdout (format binary)", binary)
    found["copy"] = [text.size, text.head.hex(), binary.size, binary.head.hex()]
    connection.commit()
    try:
        c.copy_expert("copy copied from stdin", io.StringIO("1\tgood\nx\tbad\n" * 5000))
        found["copyFails"] = "no error"
    except psycopg2.Error as error:
        found["copyFails"] = [type(error).__name__, error.pgcode]
connection.rollback()

# libpq calls the functions of large objects with FunctionCall, the fast path.
large = connection.lobject(0, "rwb")
large.write(b"0123456789" * 10000)
found["large"] = [large.tell(), large.seek(5), large.read(10).hex(), large.truncate(7), large.seek(0, 2)]
large.unlink()
connection.rollback()

connection.autocommit = True
run("listen news")
for payload in ("one", "", "x" * 7000):
    run("select pg_notify('news', %s)", (payload,))
while len(connection.notifies) < 3:
    select.select([connection], [], [], 30)
    connection.poll()
found["notifications"] = [[n.channel, n.payload] for n in connection.notifies]

found["notices"] = run("do $$ begin raise notice 'a notice'; raise warning 'a warning'; end $$") and connection.notices[-2:]
found["settings"] = [connection.get_parameter_status(name) for name in ("server_version", "client_encoding", "TimeZone")]
connection.close()
json.dump(found, sys.stdout, default=str)
