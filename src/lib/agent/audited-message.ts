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
import {frontend} from '../pgwire/message-types.js'

/** Puts a client's message into the audit, if it is of a kind that belongs there; false when its fields contradict its length. */
export function auditMessage(frame: ClientFrame, audit: SessionAudit): boolean {
  const cut = frame.payload.length < frame.size
  switch (frame.type) {
    case frontend.query: {
      const query = decodeQuery(frame)
      if (query) audit.query({text: query.sql, sha256: frame.sqlSha256})
      return query !== undefined
    }
    case frontend.parse: {
      const parse = decodeParse(frame)
      if (parse) audit.parse(parse.statement, {text: parse.sql, sha256: frame.sqlSha256})
      return parse !== undefined
    }
    case frontend.bind: {
      const bind = decodeBind(frame)
      if (bind) audit.bind(bind.statement, bind.portal, renderParameters(bind), cut)
      return bind !== undefined
    }
    case frontend.execute: {
      const execute = decodeExecute(frame)
      if (execute) audit.execute(execute.portal)
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
      return call !== undefined
    }
    default:
      return true
  }
}
