/**
 * The name that the program was called by. Launchers made by `install aliases` give it three more, each with the commands
 * that belong to it: `tsh` for users, `tctl` for administrators, `teleport` for hosts.
 */

const ownName = 'postern'

/** Command ids, with those beneath them. `postern` itself has all. */
const commandsOf = {
  tsh: [
    'login',
    'logout',
    'status',
    'db:ls',
    'db:login',
    'db:logout',
    'db:env',
    'db:config',
    'db:connect',
    'db:exec',
    'proxy',
    'play',
    'recordings',
    'sessions',
    'request',
    'invite',
    'completion',
    'version',
  ],
  tctl: [
    'status',
    'create',
    'get',
    'rm',
    'edit',
    'update',
    'tokens',
    'users',
    'auth',
    'db:ls',
    'lock',
    'requests',
    'access',
    'audit',
    'recordings',
    'completion',
    'sessions',
    'version',
  ],
  teleport: ['start', 'db:configure', 'configure', 'discovery', 'install', 'completion', 'version'],
} as const

export type Alias = keyof typeof commandsOf
export const aliases = Object.keys(commandsOf) as readonly Alias[]

/** Set by launchers. */
export const callingNameVariable = 'POSTERN_CALLED_AS'

/** Commands that are another one's under a name. */
const renamedCommands: Readonly<Partial<Record<Alias, Readonly<Record<string, string>>>>> = {
  tctl: {'db:ls': 'db:servers'},
}

let called: Alias | undefined

/** Reads the name and takes it out of the environment, so that programs we run are not called by it. */
export function readCallingName(variables: NodeJS.ProcessEnv = process.env): Alias | undefined {
  const {[callingNameVariable]: text} = variables
  Reflect.deleteProperty(variables, callingNameVariable)
  called = aliases.find((alias) => alias === text)
  return called
}

/** The alias that the program was called by; undefined when it was called by its own name. */
export const calledAs = (): Alias | undefined => called

export const callingName = (): string => called ?? ownName

/** Whether a command, by its id, is one of the name's. */
export function belongsTo(alias: Alias, id: string): boolean {
  return commandsOf[alias].some((command) => id === command || id.startsWith(`${command}:`))
}

/** The id of the command that runs when this one is asked for by this name. */
export const commandUnder = (alias: Alias, id: string): string => renamedCommands[alias]?.[id] ?? id

/** Our own sentences, with `postern …` as the user has to type it: by a name that has the command, if any has. */
export function nameCommands(text: string): string {
  if (called === undefined) return text
  return text.replace(/(?<![\w/.-])postern (--help|[a-z]+(?: [a-z]+)*)/g, (_, words: string) => {
    return words === '--help' ? `${callingName()} ${words}` : `${nameOf(words)} ${words}`
  })
}

/** The alias that has a command which this one has not. */
export function otherName(words: string): Alias | undefined {
  const name = nameOf(words)
  return called === undefined ? undefined : aliases.find((alias) => alias === name && alias !== called)
}

/** The name by which a command is to be called, by its words; the one in use if that has it. */
function nameOf(words: string): string {
  const id = words.replaceAll(' ', ':')
  const names = called === undefined ? [] : [called, ...aliases]
  return names.find((alias) => belongsTo(alias, id)) ?? ownName
}

/** Where the configuration of a host of ours may be when nothing else is said, likeliest first. */
export function configFiles(): readonly [string, ...string[]] {
  if (called === 'teleport') return ['/etc/teleport.yaml']
  return called === 'tctl' ? ['/etc/teleport.yaml', '/etc/postern.yaml'] : ['/etc/postern.yaml']
}

/** What the service of this host is called in files of the system. */
export const serviceName = (): string => (called === 'teleport' ? called : ownName)

/** The variables of the service, for systemd. */
export const environmentFile = (): string => `/etc/default/${serviceName()}`
