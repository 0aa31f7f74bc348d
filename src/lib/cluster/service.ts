import {once} from 'node:events'
import {open, rm, writeFile} from 'node:fs/promises'
import type {Writable} from 'node:stream'
import {loadConfig} from '../config/file.js'
import {readToken, tokenSource} from '../config/join.js'
import {defaultConfigPath, type Config, type LogSettings, type Service} from '../config/settings.js'
import type {Clock} from '../core/clock.js'
import {createLogger} from '../core/log.js'
import type {Secret} from '../core/secret.js'
import {parseAddress} from '../resources/endpoint.js'
import {startCluster} from './start.js'

export interface ServiceOptions {
  /** The default one when undefined. */
  readonly configFile?: string | undefined
  /** Exactly these services, whatever the file enables. */
  readonly roles?: readonly Service[] | undefined
  /** A join token, or the absolute path of its file; overrides the configuration's. */
  readonly token?: string | undefined
  readonly diagAddr?: string | undefined
  /** Overrides the configuration's. */
  readonly pidFile?: string | undefined
  readonly drainMilliseconds: number
  readonly debug: boolean
  readonly version: string
  readonly caFile?: string | undefined
  readonly rootsFile?: string | undefined
  readonly clock: Clock
  /** Where the process's streams are, for the log. */
  readonly streams: {readonly stdout: Writable; readonly stderr: Writable}
  /** Fires when the services should end. */
  readonly stop: AbortSignal
}

/**
 * Runs the services of a configuration file until asked to stop.
 * @throws PosternError when the configuration is wrong or a service cannot start
 */
export async function runServices(options: ServiceOptions): Promise<void> {
  const file = await loadConfig(options.configFile ?? defaultConfigPath, {roles: options.roles})
  const config: Config = options.diagAddr ? {...file, diagAddr: parseAddress(options.diagAddr)} : file
  const logger = await createLogger({
    level: options.debug ? 'debug' : config.log.level,
    format: config.log.format,
    output: await logOutput(config.log, options.streams),
  })
  const token: Secret | undefined =
    options.token === undefined ? undefined : await readToken(tokenSource(options.token))
  const {version, caFile, rootsFile, clock, stop} = options
  const cluster = await startCluster({config, version, token, caFile, rootsFile, logger, clock, signal: stop})
  const pidFile = options.pidFile ?? config.pidFile
  if (pidFile) await writeFile(pidFile, `${process.pid}\n`)
  try {
    logger.info('Postern is ready.', {version})
    if (!stop.aborted) await once(stop, 'abort')
    logger.info('Stopping: no new sessions are taken.', {drain_seconds: options.drainMilliseconds / 1000})
  } finally {
    await cluster.stop(options.drainMilliseconds)
    if (pidFile) await rm(pidFile, {force: true})
  }
  logger.info('Stopped.')
}

async function logOutput({output}: LogSettings, streams: ServiceOptions['streams']): Promise<Writable> {
  if (typeof output === 'string') return streams[output]
  const file = await open(output.path, 'a', 0o640)
  return file.createWriteStream()
}
