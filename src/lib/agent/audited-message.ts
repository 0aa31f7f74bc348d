import type {SessionAudit} from '../audit/session-audit.js'
import {renderParameters} from '../pgwire/bind-parameters.js'
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
import {decodeServerError, type ServerError} from '../pgwire/server-error.js'
import {decodeCommandComplete} from '../pgwire/server-messages.js'
import type {Unanswered} from './unanswered.js'

/** Types of the server's messages that `auditAnswer` reads. */
export const answers = [
  backend.commandComplete,
  backend.copyInResponse,
  backend.emptyQueryResponse,
  backend.errorResponse,
  backend.portalSuspended,
  backend.readyForQuery,
] as const

/** Puts a client's message into the audit, if it is of a kind that belongs there; false when its fields contradict its length. */
export function auditMessage(frame: ClientFrame, audit: SessionAudit, unanswered: Unanswered): boolean {
  const cut = frame.payload.length < frame.size
  const {sqlSha256: sha256} = frame
  if (frame.sqlPiece) audit.sqlPart(frame.sqlPiece)
  switch (frame.type) {
    case frontend.query: {
      const query = decodeQuery(frame)
      if (query) unanswered.query(audit.query({text: query.sql, bytes: query.sqlBytes, sha256}))
      return query !== undefined
    }
    case frontend.parse: {
      const parse = decodeParse(frame)
      if (parse) audit.parse(parse.statement, {text: parse.sql, bytes: parse.sqlBytes, sha256})
      return parse !== undefined
    }
    case frontend.bind: {
      const bind = decodeBind(frame)
      if (bind) audit.bind(bind.statement, bind.portal, renderParameters(bind), cut)
      return bind !== undefined
    }
    case frontend.execute: {
      const execute = decodeExecute(frame)
      if (execute) unanswered.execute(audit.execute(execute.portal))
      return execute !== undefined
    }
    case frontend.close: {
      const target = decodeTarget(frame)
      if (target) audit.close(target.kind, target.name)
      return target !== undefined
    }
    case frontend.functionCall: {
      const call = decodeFunctionCall(frame)
      if (call) audit.functionCall(call.functionOid, renderParameters(call), cut)
      unanswered.functionCall()
      return call !== undefined
    }
    case frontend.sync:
      unanswered.sync()
      return true
    case frontend.copyDone:
    case frontend.copyFail:
      unanswered.copyEnded()
      return true
    default:
      return true
  }
}

/** Puts the result in a server's message into the audit, if it has one. */
export function auditAnswer(frame: Frame, audit: SessionAudit, unanswered: Unanswered): void {
  switch (frame.type) {
    case backend.commandComplete:
      audit.result({query: unanswered.completed(), rows: decodeCommandComplete(frame)?.rows})
      break
    case backend.errorResponse:
      audit.result({query: unanswered.failed(), error: describe(decodeServerError(frame))})
      break
    case backend.emptyQueryResponse:
    case backend.portalSuspended:
      unanswered.completed()
      break
    case backend.copyInResponse:
      unanswered.copyBegan()
      break
    case backend.readyForQuery:
      unanswered.ready()
      break
  }
}

function describe({severity, message, code}: ServerError): string {
  return `${severity}: ${message} (SQLSTATE ${code})`
}
