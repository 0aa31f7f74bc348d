"""A query cancelled with the functions of libpq 17 and newer, over TLS as its session. The library's path is the argument."""

import ctypes
import json
import sys
import threading
import time

libpq = ctypes.CDLL(sys.argv[1])
for name, result in {
    "PQconnectdb": ctypes.c_void_p,
    "PQexec": ctypes.c_void_p,
    "PQcancelCreate": ctypes.c_void_p,
    "PQerrorMessage": ctypes.c_char_p,
    "PQcancelErrorMessage": ctypes.c_char_p,
    "PQresultErrorField": ctypes.c_char_p,
    "PQgetvalue": ctypes.c_char_p,
}.items():
    getattr(libpq, name).restype = result


def p(pointer):
    return ctypes.c_void_p(pointer)


connection = libpq.PQconnectdb(b"")
error = libpq.PQerrorMessage(p(connection)).decode()
if error:
    sys.exit(error)
application = libpq.PQgetvalue(p(libpq.PQexec(p(connection), b"show application_name")), 0, 0)
cancel = libpq.PQcancelCreate(p(connection))
states = []


def until_cancelled():
    # A cancel request that overtakes the query does nothing.
    while not states:
        done = libpq.PQcancelBlocking(p(cancel))
        if done != 1:
            sys.exit(libpq.PQcancelErrorMessage(p(cancel)).decode())
        libpq.PQcancelReset(p(cancel))
        time.sleep(0.1)


thread = threading.Thread(target=until_cancelled)
thread.start()
states.append(libpq.PQresultErrorField(p(libpq.PQexec(p(connection), b"select pg_sleep(600)")), ord("C")).decode())
thread.join()
json.dump({"protocol": libpq.PQfullProtocolVersion(p(connection)), "state": states[0], "application": application.decode()}, sys.stdout)
libpq.PQfinish(p(connection))
