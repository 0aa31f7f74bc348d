import {isAscii} from 'node:buffer'
import {formatSql, type SessionAudit} from '../audit/session-audit.js'
import {Statement} from '../audit/statement.js'
import {maximumParameterBytes, trimParameters, type SqlText} from '../audit/trimming.js'
import {
  decodeBind,
  decodeExecute,
  decodeFunctionCall,
  decodeParse,
  decodeQuery,
  decodeTarget,
  type Query,
} from '../pgwire/client-messages.js'
import type {ClientEncoding} from '../pgwire/client-encoding.js'
import type {ClientFrame} from '../pgwire/client-stream.js'
import type {Frame} from '../pgwire/frames.js'
import {backend, frontend} from '../pgwire/message-types.js'
import {largeObjectArguments} from '../pgwire/large-objects.js'
import {renderParameters, type Parameters} from '../pgwire/parameter-text.js'
import {decodeServerError} from '../pgwire/server-error.js'
import {
  decodeCommandComplete,
  decodeParameterDescription,
  decodeParameterStatus,
  decodeReadyForQuery,
} from '../pgwire/server-messages.js'
import type {Answers} from './answers.js'
import type {Prepared} from './prepared.js'
import {unresolvedSql, type Requests} from './requests.js'

/** Types of the server's messages that `readAnswer` opens. */
export const openedAnswers = [
  backend.commandComplete,
  backend.copyBothResponse,
  backend.copyInResponse,
  backend.copyOutResponse,
  backend.emptyQueryResponse,
  backend.errorResponse,
  backend.functionCallResponse,
  backend.parameterDescription,
  backend.parameterStatus,
  backend.portalSuspended,
  backend.readyForQuery,
  backend.rowDescription,
] as const

/** A message's type and length. */
const headerBytes = 5
/** A byte takes at most six as JSON: parameters of messages that are shorter need no trimming. */
const smallMessage = maximumParameterBytes / 6

/** Takes a client's message into the audit; false when its fields contradict its length. */
export function readRequest(frame: ClientFrame, audit: SessionAudit, requests: Requests): boolean {
  const {decode} = requests.texts.encoding
  const size = frame.size + headerBytes
  requests.measurement.copied = frame.copyBytes ?? 0
  if (frame.sqlPiece) audit.sqlPart(frame.sqlPiece)
  switch (frame.type) {
    case frontend.query: {
      const query = decodeQuery(frame, decode)
      if (!query) return false
      const statement = new Statement(audit.nextStatement(), audit.sqlFields(sqlText(query, frame, requests)))
      statement.reread = rereading(query, frame, requests)
      requests.query(statement, size)
      return true
    }
    case frontend.parse: {
      const parse = decodeParse(frame, decode)
      if (!parse) return false
      const fields = audit.sqlFields(sqlText(parse, frame, requests))
      const reread = rereading(parse, frame, requests)
      requests.parse(requests.nameOf(parse.statement), fields, parse.parameterTypes, reread)
      return true
    }
    case frontend.bind: {
      const bind = decodeBind(frame, decode)
      if (!bind) return false
      const name = requests.nameOf(bind.statement)
      const portal = requests.nameOf(bind.portal)
      // By the encoding of the time when it is called.
      const describe = (prepared: Prepared | undefined): string =>
        (prepared?.sql ?? unresolvedSql) +
        describeParameters('db_query_parameters', bind, frame, requests.texts.encoding, prepared?.types) +
        describeNames(name, portal)
      requests.bind(portal, name, describe, size)
      return true
    }
    case frontend.execute: {
      const execute = decodeExecute(frame, decode)
      if (!execute) return false
      requests.execute(requests.nameOf(execute.portal), size)
      return true
    }
    case frontend.describe:
    case frontend.close: {
      const target = decodeTarget(frame, decode)
      if (!target) return false
      const name = requests.nameOf(target.name)
      if (frame.type === frontend.close) requests.close(target.kind, name)
      else requests.describe(target.kind, name)
      return true
    }
    case frontend.functionCall: {
      const call = decodeFunctionCall(frame)
      if (!call) return false
      const types = largeObjectArguments.get(call.functionOid)
      const subject = `"function_oid":${call.functionOid}${describeParameters('function_args', call, frame, requests.texts.encoding, types)}`
      requests.functionCall(new Statement(audit.nextStatement(), subject, 'db.session.postgres.function'), size)
      return true
    }
    case frontend.sync:
      requests.sync()
      return true
    case frontend.copyDone:
    case frontend.copyFail:
      requests.copyEnded()
      return true
    default:
      return true
  }
}

/** Takes a server's message into the audit. @param offset of its end among all bytes of the server */
export function readAnswer(frame: Frame, offset: number, answers: Answers): void {
  switch (frame.type) {
    case backend.rowDescription:
      answers.rowDescription(frame)
      break
    case backend.commandComplete:
      answers.completed(decodeCommandComplete(frame), offset)
      break
    case backend.readyForQuery:
      answers.ready(decodeReadyForQuery(frame), offset)
      break
    case backend.errorResponse:
      answers.failed(decodeServerError(frame, answers.encoding.decode), offset)
      break
    case backend.emptyQueryResponse:
      answers.empty(offset)
      break
    case backend.portalSuspended:
      answers.suspended(offset)
      break
    case backend.parameterDescription:
      answers.parameterDescription(decodeParameterDescription(frame) ?? [])
      break
    case backend.parameterStatus:
      answers.parameterStatus(decodeParameterStatus(frame))
      break
    case backend.functionCallResponse:
      answers.returned(offset)
      break
    case backend.copyInResponse:
      answers.copyBegan('in')
      break
    case backend.copyOutResponse:
      answers.copyBegan('out')
      break
    case backend.copyBothResponse:
      answers.copyBegan('both')
      break
  }
}

/** The SQL of a message for its event. */
function sqlText({sql, sqlBytes}: Query, {sqlSha256: sha256}: ClientFrame, {texts: {encoding}}: Requests): SqlText {
  // What is cut may go on with anything.
  const isSame = encoding.name === undefined || (sha256 === undefined && isAscii(sqlBytes))
  return {text: sql, bytes: sqlBytes, sha256, encoding: isSame ? undefined : encoding.name}
}

/** Reads it again by the encoding of then; undefined where that changes nothing, and for SQL that an event may not take whole. */
function rereading({sqlBytes}: Query, {size}: ClientFrame, requests: Requests): (() => string) | undefined {
  if (requests.pipeline.length === 0 || size > smallMessage || isAscii(sqlBytes)) return undefined
  return () => formatSql(requests.texts.encoding.decode(sqlBytes), requests.texts.encoding.name)
}

function describeNames(statement: string, portal: string): string {
  if (statement === '' && portal === '') return ''
  const name = statement === '' ? '' : `,"statement_name":${JSON.stringify(statement)}`
  return portal === '' ? name : `${name},"portal_name":${JSON.stringify(portal)}`
}

function describeParameters(
  key: string,
  given: Parameters,
  {payload, size}: Frame,
  {decode}: ClientEncoding,
  types?: readonly number[],
): string {
  if (given.parameters.length === 0) return ''
  const values = renderParameters(given, types, decode)
  if (size <= smallMessage) return `,"${key}":${JSON.stringify(values)}`
  const {parameters, truncated} = trimParameters(values)
  const cut = truncated || payload.length < size
  return `,"${key}":${JSON.stringify(parameters)}${cut ? `,"${key}_truncated":true` : ''}`
}
