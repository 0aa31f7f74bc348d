import type {SessionAudit} from '../audit/session-audit.js'
import {Statement} from '../audit/statement.js'
import {maximumParameterBytes, trimParameters} from '../audit/trimming.js'
import {
  decodeBind,
  decodeExecute,
  decodeFunctionCall,
  decodeParse,
  decodeQuery,
  decodeTarget,
} from '../pgwire/client-messages.js'
import type {ClientFrame} from '../pgwire/client-stream.js'
import type {Frame} from '../pgwire/frames.js'
import {backend, frontend} from '../pgwire/message-types.js'
import {largeObjectArguments} from '../pgwire/large-objects.js'
import {renderParameters, type Parameters} from '../pgwire/parameter-text.js'
import {decodeServerError} from '../pgwire/server-error.js'
import {decodeCommandComplete, decodeParameterDescription, decodeReadyForQuery} from '../pgwire/server-messages.js'
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
  const {sqlSha256: sha256} = frame
  const size = frame.size + headerBytes
  if (frame.sqlPiece) audit.sqlPart(frame.sqlPiece)
  switch (frame.type) {
    case frontend.query: {
      const query = decodeQuery(frame)
      if (!query) return false
      const fields = audit.sqlFields({text: query.sql, bytes: query.sqlBytes, sha256})
      requests.query(new Statement(audit.nextStatement(), fields), size)
      return true
    }
    case frontend.parse: {
      const parse = decodeParse(frame)
      if (!parse) return false
      const fields = audit.sqlFields({text: parse.sql, bytes: parse.sqlBytes, sha256})
      requests.parse(requests.names.of(parse.statement), fields, parse.parameterTypes)
      return true
    }
    case frontend.bind: {
      const bind = decodeBind(frame)
      if (!bind) return false
      const name = requests.names.of(bind.statement)
      const portal = requests.names.of(bind.portal)
      const describe = (prepared: Prepared | undefined): string =>
        (prepared?.sql ?? unresolvedSql) +
        describeParameters('db_query_parameters', bind, frame, prepared?.types) +
        describeNames(name, portal)
      requests.bind(portal, name, describe, size)
      return true
    }
    case frontend.execute: {
      const execute = decodeExecute(frame)
      if (!execute) return false
      requests.execute(requests.names.of(execute.portal), size)
      return true
    }
    case frontend.describe:
    case frontend.close: {
      const target = decodeTarget(frame)
      if (!target) return false
      const name = requests.names.of(target.name)
      if (frame.type === frontend.close) requests.close(target.kind, name)
      else requests.describe(target.kind, name)
      return true
    }
    case frontend.functionCall: {
      const call = decodeFunctionCall(frame)
      if (!call) return false
      const types = largeObjectArguments.get(call.functionOid)
      const subject = `"function_oid":${call.functionOid}${describeParameters('function_args', call, frame, types)}`
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
      answers.failed(decodeServerError(frame), offset)
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

function describeNames(statement: string, portal: string): string {
  if (statement === '' && portal === '') return ''
  const name = statement === '' ? '' : `,"statement_name":${JSON.stringify(statement)}`
  return portal === '' ? name : `${name},"portal_name":${JSON.stringify(portal)}`
}

function describeParameters(key: string, given: Parameters, {payload, size}: Frame, types?: readonly number[]): string {
  if (given.parameters.length === 0) return ''
  const values = renderParameters(given, types)
  if (size <= smallMessage) return `,"${key}":${JSON.stringify(values)}`
  const {parameters, truncated} = trimParameters(values)
  const cut = truncated || payload.length < size
  return `,"${key}":${JSON.stringify(parameters)}${cut ? `,"${key}_truncated":true` : ''}`
}
