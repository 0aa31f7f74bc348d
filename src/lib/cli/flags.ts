import * as Flags from '@oclif/core/flags'
import type {FirstTrust} from '../api/contact.js'
import {parseDuration} from '../core/duration.js'
import {parseLabels, type Labels} from '../core/labels.js'
import type {Environment} from './environment.js'
import {asUsage} from './usage.js'

/** Flags that several commands share; spread the group you need into `static flags`. */

/** `a,b` and repetition, and never the next argument. */
export const list = {multiple: true, multipleNonGreedy: true, delimiter: ','} as const
/** Repetition only: each value is a comma list of its own. */
export const repeated = {multiple: true, multipleNonGreedy: true} as const

export const formats = ['text', 'json', 'yaml'] as const
export type Format = (typeof formats)[number]

export const formatFlag = {
  format: Flags.option({
    char: 'f',
    options: formats,
    default: 'text',
    description: 'how to print the answer; with json, errors are JSON too',
  })(),
}

/** Who asks, for commands that work on databases: a profile or an identity file. */
export const loginFlags = {
  proxy: Flags.string({
    description: 'proxy of the cluster, as host or host:port (default: the one in use)',
    env: 'POSTERN_PROXY',
    helpValue: 'HOST[:PORT]',
  }),
  user: Flags.string({description: 'user to act as', env: 'POSTERN_USER', helpValue: 'NAME'}),
  identity: Flags.string({
    char: 'i',
    description: 'identity file to use in place of a login',
    env: 'POSTERN_IDENTITY_FILE',
    helpValue: 'FILE',
  }),
}

/** Who asks, for administration: the flags above, or the host of the Auth Service itself. */
export const adminFlags = {
  ...loginFlags,
  config: Flags.string({
    char: 'c',
    description: "configuration of this host's Auth Service (default: /etc/postern.yaml)",
    env: 'POSTERN_CONFIG_FILE',
    helpValue: 'FILE',
  }),
  'auth-server': Flags.string({
    description: 'Auth Service to dial directly, in place of a proxy',
    env: 'POSTERN_AUTH_SERVER',
    helpValue: 'HOST:PORT',
  }),
}

/** What the first contact with a cluster may rely on. */
export const trustFlags = {
  'ca-pin': Flags.string({
    ...list,
    // oclif splits flags, but not the variables behind them: `firstTrust` reads this one.
    description: '[env: POSTERN_CA_PIN] pin of the host CA, as `postern status` prints it on the control plane',
    helpValue: 'sha256:HEX',
  }),
  'ca-file': Flags.string({
    description: "CA certificates that have signed the proxy's certificate, PEM",
    env: 'POSTERN_CA_FILE',
    helpValue: 'FILE',
  }),
  insecure: Flags.boolean({
    default: false,
    description: 'trust whoever answers: somebody in between can read what you send, passwords too',
  }),
}

/** The values of `trustFlags`. */
interface TrustChoice {
  readonly 'ca-pin'?: readonly string[] | undefined
  readonly 'ca-file'?: string | undefined
  readonly insecure: boolean
}

/** What the first contact may rely on, as the flags and the environment say. */
export function firstTrust(choice: TrustChoice, {caPins, rootsFile}: Environment): FirstTrust {
  return {pins: choice['ca-pin'] ?? caPins, caFile: choice['ca-file'], rootsFile, insecure: choice.insecure}
}

/** Which database, by its labels. */
export const labelsFlag = {
  labels: Flags.string({...repeated, description: 'select the database by its labels', helpValue: 'KEY=VALUE,'}),
}

/** Which databases, by a predicate (database-query.ts). */
export const queryFlag = {
  query: Flags.string({
    description: 'show only databases for which this is true, as labels["env"] == "dev" && hasPrefix(name, "eu-")',
    helpValue: 'PREDICATE',
  }),
}

/** The labels of `k=v,k2=v2`, several times; undefined when there is none. @throws PosternError USAGE */
export function mergeLabels(texts: readonly string[] | undefined): Labels | undefined {
  const labels: Labels = asUsage(() => parseLabels((texts ?? []).join(',')))
  return Object.keys(labels).length === 0 ? undefined : labels
}

/** A length of time such as `30m` or `12h`, as seconds. */
export const seconds = Flags.custom<number>({
  parse: (text) => Promise.resolve(asUsage(() => parseDuration(text) / 1000)),
  helpValue: 'DURATION',
})

/** As whom in the database. */
export const accountFlags = {
  'db-user': Flags.string({
    char: 'u',
    description: 'database user (default: the only one you may be)',
    helpValue: 'NAME',
  }),
  'db-name': Flags.string({
    char: 'n',
    description: "database name (default: the only one you may use, or the database's usual one)",
    helpValue: 'NAME',
  }),
}

export const passwordStdinFlag = {
  'password-stdin': Flags.boolean({default: false, description: 'read the password from standard input'}),
}
