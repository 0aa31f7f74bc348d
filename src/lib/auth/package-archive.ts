import {execFile} from 'node:child_process'
import {createHash} from 'node:crypto'
import {createReadStream} from 'node:fs'
import {access, mkdir, mkdtemp, readFile, rename, rm, stat, writeFile} from 'node:fs/promises'
import {dirname, join, relative, resolve} from 'node:path'
import {pipeline} from 'node:stream/promises'
import {fileURLToPath} from 'node:url'
import {promisify} from 'node:util'
import {messageOf, PosternError} from '../core/errors.js'

const packageRoot = resolve(dirname(fileURLToPath(import.meta.url)), '../../..')
/** What our package is made of besides its dependencies. */
const ownFiles = ['bin', 'dist', 'oclif.manifest.json']
/** Nobody runs these, and they are most of the bytes and half of the files; `dist-es` is for bundlers of the AWS SDK. */
const leftOut = [
  ...['*.map', '*.ts', '*.mts', '*.cts', '*.md'],
  ...['dist-es', 'test', 'docs', 'benchmark', 'benchmarks', 'examples', '.github'].map(
    (name) => `node_modules/*/${name}`,
  ),
]
const tarMilliseconds = 300_000

/** The package that runs here, with all it depends on, as npm installs it. */
export interface PackageArchive {
  readonly path: string
  readonly bytes: number
  /** Hex. */
  readonly sha256: string
}

interface PackageJson {
  readonly name: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
}

/** Packs the running program: once, when it is first asked for. */
export class PackageArchives {
  readonly #directory: string
  readonly #root: string
  #built: Promise<PackageArchive> | undefined

  /** @param directory where the archive is kept; made when missing */
  constructor(directory: string, root = packageRoot) {
    this.#directory = directory
    this.#root = root
  }

  /** @throws PosternError FAILED when the package is not whole, or tar is missing */
  get(): Promise<PackageArchive> {
    this.#built ??= this.#build().catch((error: unknown) => {
      this.#built = undefined
      throw error instanceof PosternError
        ? error
        : new PosternError('FAILED', `The package could not be packed: ${messageOf(error)}`, {cause: error})
    })
    return this.#built
  }

  async #build(): Promise<PackageArchive> {
    await mkdir(this.#directory, {recursive: true, mode: 0o700})
    const work = await mkdtemp(join(this.#directory, 'pack-'))
    try {
      const own = JSON.parse(await readFile(join(this.#root, 'package.json'), 'utf8')) as PackageJson
      const bundled = await this.#dependenciesOf(own)
      await writeFile(join(work, 'package.json'), JSON.stringify(installable(own, bundled), undefined, 2))
      const archive = join(work, 'package.tgz')
      await this.#pack(archive, work, bundled)
      const path = join(this.#directory, 'postern.tgz')
      await rename(archive, path)
      return {path, bytes: (await stat(path)).size, sha256: await sha256Of(path)}
    } finally {
      await rm(work, {recursive: true, force: true})
    }
  }

  async #pack(archive: string, work: string, bundled: readonly string[]): Promise<void> {
    const names = bundled.map((name) => join('node_modules', name))
    const options = [
      ...leftOut.map((pattern) => `--exclude=${pattern}`),
      '--hard-dereference',
      '--owner=0',
      '--group=0',
    ]
    const transform = ['--transform', 's,^,package/,']
    const files = ['-C', work, 'package.json', '-C', this.#root, ...ownFiles, ...names]
    await promisify(execFile)('tar', [...options, ...transform, '-czf', archive, ...files], {timeout: tarMilliseconds})
  }

  /** Names of the packages directly in our node_modules that the program needs. */
  async #dependenciesOf(own: PackageJson): Promise<string[]> {
    const seen = new Set<string>()
    const visit = async (from: string, names: readonly string[], isNeeded: boolean): Promise<void> => {
      for (const name of names) {
        const directory = await this.#find(name, from)
        if (directory === undefined) {
          if (isNeeded) throw new PosternError('FAILED', `The package "${name}" is not installed under ${this.#root}.`)
          continue
        }
        if (seen.has(directory)) continue
        seen.add(directory)
        const {dependencies, optionalDependencies, peerDependencies} = JSON.parse(
          await readFile(join(directory, 'package.json'), 'utf8'),
        ) as PackageJson
        const optional = Object.keys({...optionalDependencies, ...peerDependencies})
        await visit(directory, optional, false)
        await visit(
          directory,
          Object.keys(dependencies ?? {}).filter((one) => !optional.includes(one)),
          true,
        )
      }
    }
    // Our own optional dependency is a PostgreSQL server for trying things out.
    await visit(this.#root, Object.keys(own.dependencies ?? {}), true)
    const top = Array.from(seen, (directory) => topOf(relative(join(this.#root, 'node_modules'), directory)))
    return [...new Set(top)].sort()
  }

  /** As Node.js finds it, but not above our root. */
  async #find(name: string, from: string): Promise<string | undefined> {
    for (let directory = from; directory.startsWith(this.#root); directory = dirname(directory)) {
      const candidate = join(directory, 'node_modules', name)
      if (await exists(join(candidate, 'package.json'))) return candidate
    }
    return undefined
  }
}

/** `@scope/name` or `name`, of a path within node_modules. */
const topOf = (path: string): string =>
  path
    .split('/')
    .slice(0, path.startsWith('@') ? 2 : 1)
    .join('/')

/** Our package.json with everything in the archive, so that installing asks no registry and runs nothing. */
function installable(own: PackageJson, bundled: readonly string[]): object {
  const left = ['devDependencies', 'optionalDependencies', 'overrides', 'scripts']
  const kept = Object.entries(own).filter(([key]) => !left.includes(key))
  return {...Object.fromEntries(kept), bundleDependencies: bundled}
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return hash.digest('hex')
}
