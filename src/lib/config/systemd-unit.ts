import {isAbsolute} from 'node:path'
import {PosternError} from '../core/errors.js'

export interface UnitOptions {
  /** The program and its first words, such as Node.js and a script. */
  readonly program: readonly string[]
  readonly configFile: string
  /** `KEY=value` lines, AWS credentials for example; it may be missing. */
  readonly environmentFile: string
  readonly pidFile: string
  /** How many files and sockets the service may have open. */
  readonly openFiles: number
}

/**
 * A unit of systemd that runs the services of a configuration file. On reload they end gracefully and start anew.
 * @throws PosternError USAGE for a path that is not absolute
 */
export function renderSystemdUnit({program, configFile, environmentFile, pidFile, openFiles}: UnitOptions): string {
  for (const path of [program[0] ?? '', configFile, environmentFile, pidFile]) {
    if (!isAbsolute(path) || hasControl(path)) {
      throw new PosternError('USAGE', `"${path}" is not an absolute path, and systemd takes no other.`)
    }
  }
  const command = [...program, 'start', '--config', configFile, `--pid-file=${pidFile}`].map(quote).join(' ')
  return `[Unit]
Description=Postern Service
After=network.target

[Service]
Type=simple
Restart=always
RestartSec=5
EnvironmentFile=-${escape(environmentFile)}
ExecStart=${command}
ExecReload=/bin/kill -HUP $MAINPID
PIDFile=${escape(pidFile)}
LimitNOFILE=${openFiles}

[Install]
WantedBy=multi-user.target
`
}

const hasControl = (text: string): boolean => /\p{Cc}/u.test(text)

/** systemd.unit(5), "Specifiers". */
const escape = (text: string): string => text.replaceAll('%', '%%')

/** systemd.service(5), "Command lines": plain words as they are, others in quotes. */
function quote(word: string): string {
  const escaped = escape(word).replaceAll('$', '$$$$')
  return /^[\w@%+=:,./$-]+$/.test(escaped) ? escaped : `"${escaped.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
}
