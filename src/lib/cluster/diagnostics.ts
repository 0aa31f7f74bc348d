import {createServer, type ServerResponse} from 'node:http'
import type {Logger} from '../core/log.js'
import {listenAs} from '../tunnel/listening.js'

/** Where a part of the process stands; the worst of all parts is the answer of /readyz. */
export type Readiness = 'starting' | 'ok' | 'degraded'

/** A number of one service, read when /metrics is asked for. */
export interface Gauge {
  readonly name: string
  readonly help: string
  readonly read: () => number
}

export interface DiagnosticsOptions {
  readonly listen: {readonly host: string; readonly port: number}
  readonly readiness: () => Readiness
  readonly gauges: readonly Gauge[]
  readonly logger: Logger
}

export interface Diagnostics {
  readonly address: {readonly host: string; readonly port: number}
  close(): Promise<void>
}

const statusCodes: Readonly<Record<Readiness, number>> = {ok: 200, starting: 400, degraded: 503}

/**
 * Plain HTTP for health checks and Prometheus: `/healthz`, `/readyz`, `/metrics`.
 * @throws PosternError UNREACHABLE when the address cannot be listened on
 */
export async function startDiagnostics(options: DiagnosticsOptions): Promise<Diagnostics> {
  const {Gauge: PrometheusGauge, Registry, collectDefaultMetrics} = await import('prom-client')
  const registry = new Registry()
  collectDefaultMetrics({register: registry})
  for (const {name, help, read} of options.gauges) {
    const gauge = new PrometheusGauge({
      name: `postern_${name}`,
      help,
      registers: [registry],
      collect: () => {
        gauge.set(read())
      },
    })
  }
  const server = createServer((request, response) => {
    switch (request.url?.split('?')[0]) {
      case '/healthz':
        json(response, 200, {status: 'ok'})
        break
      case '/readyz': {
        const status = options.readiness()
        json(response, statusCodes[status], {status, pid: process.pid})
        break
      }
      case '/metrics':
        void registry.metrics().then(
          (text) => response.writeHead(200, {'content-type': registry.contentType}).end(text),
          () => response.writeHead(500).end(),
        )
        break
      default:
        json(response, 404, {error: {code: 'NOT_FOUND', message: 'There are /healthz, /readyz and /metrics.'}})
    }
  })
  const address = await listenAs(server, options.listen, {
    service: 'The diagnostics endpoint',
    hint: 'Stop what uses the port, or set another diag_addr.',
    logger: options.logger,
  })
  return {
    address,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, {'content-type': 'application/json'}).end(`${JSON.stringify(body)}\n`)
}
