/** What the shared files of AWS say about one profile, as far as it tells a broken profile from one without credentials. */
import {readFile} from 'node:fs/promises'

export interface SharedFiles {
  readonly profile: string
  /** The credentials file. */
  readonly filepath: string
  readonly configFilepath: string
}

/** Any of these means that the profile is to give credentials; others, such as a region, do not. */
const credentialSetting =
  /^(aws_access_key_id|aws_secret_access_key|aws_session_token|role_arn|source_profile|credential_source|credential_process|web_identity_token_file|login_session|sso_.+)$/

type Settings = ReadonlyMap<string, string>

export interface SharedProfile {
  readonly exists: boolean
  readonly hasCredentials: boolean
  /** The profile whose credential_process gives the credentials: itself, or one that it builds on. */
  readonly processOf: string | undefined
}

export async function readSharedProfile({profile, filepath, configFilepath}: SharedFiles): Promise<SharedProfile> {
  const [config, credentials] = await Promise.all([
    readSections(configFilepath, (title) => title.replace(/^profile\s+/, '').replace(/^(["'])(.*)\1$/, '$2')),
    readSections(filepath, (title) => title),
  ])
  const settingsOf = (name: string): Settings =>
    new Map([...(config.get(name) ?? []), ...(credentials.get(name) ?? [])])
  const settings = settingsOf(profile)
  return {
    exists: config.has(profile) || credentials.has(profile),
    hasCredentials: [...settings.keys()].some((key) => credentialSetting.test(key)),
    processOf: processOf(profile, settingsOf),
  }
}

/** The SDK follows source_profile before it looks at a command. */
function processOf(
  name: string,
  settingsOf: (name: string) => Settings,
  visited: ReadonlySet<string> = new Set(),
): string | undefined {
  if (visited.has(name)) return undefined
  const settings = settingsOf(name)
  const source = settings.get('source_profile')
  if (source !== undefined) return processOf(source, settingsOf, new Set([...visited, name]))
  return settings.has('credential_process') ? name : undefined
}

/** A file that is missing has no sections. */
async function readSections(path: string, nameOf: (title: string) => string): Promise<ReadonlyMap<string, Settings>> {
  const text = await readFile(path, 'utf8').catch(() => '')
  const sections = new Map<string, Map<string, string>>()
  let current: Map<string, string> | undefined
  for (const line of text.split(/\r?\n/)) {
    const [, title] = /^\s*\[\s*([^\]]+?)\s*\]/.exec(line) ?? []
    const [, key, value = ''] = /^\s*([^\s#;=[]+)\s*=\s*(.*?)\s*$/.exec(line) ?? []
    if (title !== undefined) {
      const name = nameOf(title)
      current = sections.get(name) ?? new Map<string, string>()
      sections.set(name, current)
    } else if (key !== undefined) current?.set(key, value)
  }
  return sections
}
