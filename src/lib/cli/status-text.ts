import type {StatusResponse} from '../api/responses.js'
import type {Profile} from '../config/profile.js'
import {formatDuration} from '../core/duration.js'
import {printable} from '../core/printable.js'
import {formatAddress} from '../resources/endpoint.js'
import {renderColumns} from './table.js'

/** A profile with what is known about it beyond the file. */
export interface ProfileStatus {
  readonly profile: Profile
  /** Databases with a certificate. */
  readonly databases: readonly string[]
}

/** One profile as `status --format json` shows it. */
export interface ProfileData {
  readonly profile_url: string
  readonly username: string
  readonly cluster: string
  readonly roles: readonly string[]
  readonly traits: Readonly<Record<string, readonly string[]>>
  readonly logins: readonly string[]
  readonly databases: readonly string[]
  /** RFC 3339 */
  readonly valid_until: string
}

export function profileData({profile, databases}: ProfileStatus): ProfileData {
  return {
    profile_url: `https://${formatAddress(profile.proxy)}`,
    username: profile.user,
    cluster: profile.cluster,
    roles: profile.roles,
    traits: profile.traits,
    logins: profile.traits.logins ?? [],
    databases,
    valid_until: profile.expires,
  }
}

/** Values begin in this column, counted from zero. */
const valueColumn = 22

/** The block that `login` and `status` print. */
export function renderProfile(
  data: ProfileData,
  {current, now}: {readonly current: boolean; readonly now: number},
): string {
  const rows: [string, string][] = [
    ['Profile URL', data.profile_url],
    ['Logged in as', data.username],
    ['Cluster', data.cluster],
    ['Roles', data.roles.join(', ')],
    ...(data.logins.length > 0 ? [['Logins', data.logins.join(', ')] as [string, string]] : []),
    ...(data.databases.length > 0 ? [['Databases', data.databases.join(', ')] as [string, string]] : []),
    ['Valid until', renderExpiry(Date.parse(data.valid_until), now)],
  ]
  const lines = rows.map(([label, value], index) => {
    const mark = current && index === 0 ? '> ' : '  '
    return `${mark}${`${label}:`.padEnd(valueColumn - mark.length)}${printable(value)}`
  })
  return lines.join('\n')
}

const minute = 60_000
const day = 86_400_000

/** `2026-11-21 10:00:00 +0000 UTC [valid for 12h0m0s]` */
function renderExpiry(expires: number, now: number): string {
  const moment = new Date(expires)
    .toISOString()
    .replace('T', ' ')
    .replace(/\.\d+Z$/, ' +0000 UTC')
  const left = expires - now
  if (left <= 0) return `${moment} [EXPIRED]`
  const rounded = Math.round(left / minute) * minute
  return `${moment} [valid for ${rounded < minute ? '<1m' : formatDuration(rounded)}]`
}

/** The cluster as `status --format json` shows it. */
export interface ClusterData {
  readonly name: string
  readonly version: string
  readonly ca_pins: readonly string[]
  /** Days like `400d`, null for ever; control planes of an earlier version do not say. */
  readonly retention?: {readonly events: string | null; readonly recordings: string | null}
}

export function clusterData({cluster, version, caPins, retention}: StatusResponse): ClusterData {
  const inDays = (milliseconds: number | null): string | null =>
    milliseconds === null ? null : `${milliseconds / day}d`
  return {
    name: cluster,
    version,
    ca_pins: caPins,
    ...(retention && {retention: {events: inDays(retention.events), recordings: inDays(retention.recordings)}}),
  }
}

/** What administrators see of the cluster; of retention only where there is one. */
export function renderCluster({name, version, ca_pins, retention}: ClusterData): Promise<string> {
  const label = (text: string): string => text.padEnd(clusterLabel)
  const kept = (what: string, days: string | null): string =>
    `${what} are kept ${days === null ? 'for ever' : `for ${days}`}`
  return renderColumns([
    [label('Cluster'), name],
    [label('Version'), version],
    ...ca_pins.map((pin) => [label('CA pin'), pin]),
    ...(retention?.events || retention?.recordings
      ? [[label('Audit'), `${kept('events', retention.events)}, ${kept('recordings', retention.recordings)}`]]
      : []),
  ])
}

/** With the space between columns, values begin in the column where the guides print them. */
const clusterLabel = 'Cluster '.length
