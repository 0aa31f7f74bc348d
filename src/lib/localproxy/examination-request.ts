/**
 * Has an agent look at a database, instead of opening a session of it:
 *
 *   us                                              agent
 *    ── StartupMessage, postern_examine ─────────────►  decides, looks, signs in and leaves again
 *    ◄─ "still opening" ──────────────────────────────  while that lasts
 *    ◄─ AuthenticationOk, ParameterStatus, close ─────  or an ErrorResponse
 */
import {messageOf, PosternError} from '../core/errors.js'
import {afterRunning} from '../core/running-time.js'
import {encodeStartup} from '../pgwire/first-packet.js'
import {backend} from '../pgwire/message-types.js'
import {decodeServerError} from '../pgwire/server-error.js'
import {decodeParameterStatus} from '../pgwire/server-messages.js'
import {
  examineParameter,
  parseReport,
  reportParameter,
  type ExaminationReport,
} from '../resources/examination-report.js'
import {openingPulse} from '../tunnel/greeting.js'
import {AgentConnections, type UseConnection} from './agent-connections.js'
import type {UpstreamSource} from './upstream.js'

const mostBytes = 1_048_576
const headerBytes = 5

export interface ExaminedRoute {
  readonly dbUser: string
  readonly dbName: string
}

/** @throws PosternError when no agent can be reached, or it does not let us ask */
export async function requestExamination(source: UpstreamSource, route: ExaminedRoute): Promise<ExaminationReport> {
  const agents = new AgentConnections(source, {keepSpares: false})
  try {
    return await agents.with(ask(route))
  } finally {
    agents.close()
  }
}

function ask({dbUser, dbName}: ExaminedRoute): UseConnection<ExaminationReport> {
  return async ({socket}) => {
    let forget = ignore
    const wait = (): void => {
      forget()
      forget = afterRunning(openingPulse.silence, () => {
        socket.destroy(new Error('it was silent for too long'))
      })
    }
    try {
      wait()
      socket.write(
        encodeStartup(
          0,
          new Map([
            ['user', dbUser],
            ['database', dbName],
            [examineParameter, 'on'],
          ]),
        ),
      )
      const chunks: Buffer[] = []
      let size = 0
      for await (const chunk of socket as AsyncIterable<Buffer>) {
        wait()
        size += chunk.length
        if (size > mostBytes) break
        chunks.push(chunk)
      }
      return read(Buffer.concat(chunks))
    } catch (error) {
      if (error instanceof PosternError) throw error
      throw new PosternError('UNREACHABLE', `The connection to the agent broke: ${messageOf(error)}.`, {
        cause: error,
        hint: 'Check that the proxy and the agent of this database are running.',
      })
    } finally {
      forget()
      socket.destroy()
    }
  }
}

function read(bytes: Buffer): ExaminationReport {
  for (let offset = 0; offset + headerBytes <= bytes.length;) {
    const type = bytes.readUInt8(offset)
    const size = bytes.readUInt32BE(offset + 1) - 4
    const payload = bytes.subarray(offset + headerBytes, offset + headerBytes + size)
    if (size < 0 || payload.length < size) break
    if (type === backend.errorResponse) {
      const {message, detail, hint} = decodeServerError({payload, size})
      throw new PosternError('ACCESS_DENIED', message, {detail, hint})
    }
    const status = type === backend.parameterStatus ? decodeParameterStatus({payload, size}) : undefined
    if (status?.name === reportParameter) return parseReport(status.value)
    offset += headerBytes + size
  }
  throw new PosternError('UNREACHABLE', 'The agent closed the connection without a report.', {
    hint: 'It may be of an earlier version than this program.',
  })
}

function ignore(): void {
  // Nothing is waited for yet.
}
