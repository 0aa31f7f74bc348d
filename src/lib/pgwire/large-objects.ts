import {typeIds} from './type-names.js'

const {bytea, int4, int8, oid, text} = typeIds

/**
 * The types of the arguments that the functions of large objects take, which are what drivers call with FunctionCall; by
 * the functions' object ids (PostgreSQL's src/include/catalog/pg_proc.dat).
 */
export const largeObjectArguments: ReadonlyMap<number, readonly number[]> = new Map([
  [764, [text]], // lo_import
  [767, [text, oid]], // lo_import, with its number
  [765, [oid, text]], // lo_export
  [715, [oid]], // lo_create
  [952, [oid, int4]], // lo_open
  [953, [int4]], // lo_close
  [954, [int4, int4]], // loread
  [955, [int4, bytea]], // lowrite
  [956, [int4, int4, int4]], // lo_lseek
  [3170, [int4, int8, int4]], // lo_lseek64
  [957, [int4]], // lo_creat
  [958, [int4]], // lo_tell
  [3171, [int4]], // lo_tell64
  [964, [oid]], // lo_unlink
  [1004, [int4, int4]], // lo_truncate
  [3172, [int4, int8]], // lo_truncate64
])
