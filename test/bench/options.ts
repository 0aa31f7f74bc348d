import {parseArgs} from 'node:util'

export interface Options {
  /** Empty: all. */
  readonly paths: readonly string[]
  /** Empty: all. */
  readonly workloads: readonly string[]
  readonly runs: number
  /** Length of one sample of those that are timed. */
  readonly seconds: number
  /** A tenth of the bytes, a short endurance test: to see that everything works, not to quote. */
  readonly quick: boolean
  readonly json: string | undefined
  /** Where Postern's processes leave their CPU profiles. */
  readonly profile: string | undefined
  readonly install: boolean
  readonly help: boolean
}

export const usage = `npm run bench -- [OPTIONS]

  --install               install the peers and pgbench from Debian packages first (as root)
  --only PATH,...         these paths only
  --workload NAME,...     these workloads only
  --runs N                samples per path and workload (default 5; 1 with --quick)
  --seconds N             length of a timed sample (default 3; 1 with --quick)
  --quick                 a tenth of the bytes and one short run: shows that everything works
  --json FILE             write every sample and the summary there ("-": standard output instead of the tables)
  --profile DIRECTORY     CPU profiles of Postern's processes go there, for the developer tools of a browser; it slows them
  --help                  this text, with the names of paths and workloads
`

const words = (list: string | undefined): string[] => (list ?? '').split(',').filter(Boolean)

function count(text: string | undefined, fallback: number, name: string): number {
  if (text === undefined) return fallback
  const number = Number(text)
  if (!Number.isSafeInteger(number) || number < 1 || number > 1000)
    throw new Error(`--${name} is a number from 1 to 1000`)
  return number
}

/** @throws Error naming what is wrong */
export function readOptions(args: readonly string[]): Options {
  const {values} = parseArgs({
    args: [...args],
    options: {
      only: {type: 'string'},
      workload: {type: 'string'},
      runs: {type: 'string'},
      seconds: {type: 'string'},
      json: {type: 'string'},
      profile: {type: 'string'},
      quick: {type: 'boolean', default: false},
      install: {type: 'boolean', default: false},
      help: {type: 'boolean', default: false},
    },
  })
  const {quick} = values
  return {
    paths: words(values.only),
    workloads: words(values.workload),
    runs: count(values.runs, quick ? 1 : 5, 'runs'),
    seconds: count(values.seconds, quick ? 1 : 3, 'seconds'),
    quick,
    json: values.json,
    profile: values.profile,
    install: values.install,
    help: values.help,
  }
}
