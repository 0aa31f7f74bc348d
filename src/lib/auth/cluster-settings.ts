/** The settings of the whole cluster: as its configuration file has them, as an administrator stored them, or the defaults. */
import {isDeepStrictEqual} from 'node:util'
import {PosternError} from '../core/errors.js'
import {kindNouns, singletonKinds, singletonNames, type SingletonKind} from '../resources/kinds.js'
import {parseResource, type ResourceOf, type SettingsSpecs} from '../resources/resource.js'
import type {Change} from '../storage/backend.js'
import type {AuditLog, OwnEventName} from './audit-log.js'
import type {Records, Stored} from './records.js'
import type {Stores} from './stores.js'

export type Settings = ResourceOf[SingletonKind]

/** Where a resource comes from. */
export const originLabel = 'postern.dev/origin'
const fromFile = 'config-file'
/** Who changes settings at a start of the Auth Service. */
const configuration = {user: '@configuration', user_kind: 3} as const

export const settingsEvents = {
  session_recording_config: 'session_recording_config.update',
  cluster_networking_config: 'cluster_networking_config.update',
  cluster_auth_preference: 'auth_preference.update',
} as const satisfies Readonly<Record<SingletonKind, OwnEventName>>

export class ClusterSettings {
  readonly #stores: Stores
  readonly #audit: AuditLog

  constructor(stores: Stores, audit: AuditLog) {
    this.#stores = stores
    this.#audit = audit
  }

  async get<K extends SingletonKind>(kind: K): Promise<ResourceOf[K]> {
    const stored = await this.#records(kind).get(singletonNames[kind])
    if (!stored) return defaultSettings(kind)
    const {value, revision} = stored
    return {...value, metadata: {...value.metadata, revision: String(revision)}}
  }

  /**
   * Whether there is something to change: not where the configuration file has the same, as it may when a backup is put back.
   * @param wanted undefined to reset it
   * @throws PosternError CONFLICT where the configuration file has it
   */
  async isChange(kind: SingletonKind, wanted?: Settings): Promise<boolean> {
    const stored = await this.#records(kind).get(singletonNames[kind])
    if (!stored || !isFromFile(stored)) return true
    if (isDeepStrictEqual(stored.value.spec, wanted?.spec)) return false
    throw new PosternError(
      'CONFLICT',
      `The ${kindNouns[kind]} stands in the configuration file of the Auth Service, which would put it back.`,
      {hint: 'Change auth_service there and restart it, or take the setting out of the file first.'},
    )
  }

  /** At a start: what the file says replaces what is there, and what an earlier file said goes with it. */
  async settle(specs: SettingsSpecs): Promise<void> {
    for (const kind of singletonKinds) {
      const records = this.#records<SingletonKind>(kind)
      const name = singletonNames[kind]
      const stored = await records.get(name)
      const spec = specs[kind]
      if (spec) {
        const metadata = {name, labels: {[originLabel]: fromFile}}
        const wanted = parseResource<SingletonKind>(kind, {kind, version: 'v2', metadata, spec})
        if (isDeepStrictEqual(stored?.value, wanted)) continue
        await this.#change(records.putting(name, wanted), wanted)
      } else if (stored && isFromFile(stored)) {
        await this.#change(records.deleting(name), defaultSettings(kind))
      }
    }
  }

  #change(change: Change, {kind, metadata, spec}: Settings): Promise<void> {
    return this.#audit.change([change], settingsEvents[kind], {...configuration, name: metadata.name, settings: spec})
  }

  #records<K extends SingletonKind>(kind: K): Records<ResourceOf[K]> {
    return this.#stores.settings[kind]
  }
}

/** What holds where nothing is stored. */
export function defaultSettings<K extends SingletonKind>(kind: K): ResourceOf[K] {
  const metadata = {name: singletonNames[kind], labels: {[originLabel]: 'defaults'}}
  return parseResource(kind, {kind, version: 'v2', metadata, spec: {}})
}

function isFromFile({value}: Stored<Settings>): boolean {
  return value.metadata.labels?.[originLabel] === fromFile
}
