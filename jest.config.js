import {readFileSync} from 'node:fs'
import {availableParallelism, totalmem} from 'node:os'

/** The processors of this machine, or the share of them that a container has, which Node 20 does not know (cgroups(7)). */
function processors() {
  try {
    const [quota, period] = readFileSync('/sys/fs/cgroup/cpu.max', 'utf8').split(' ').map(Number)
    return Math.min(availableParallelism(), Math.ceil(quota / period) || Infinity)
  } catch {
    return availableParallelism()
  }
}

/** A test, with the services and databases that it starts. */
const bytesOfWorker = 750 * 2 ** 20
const memory = Math.min(totalmem(), process.constrainedMemory() || Infinity)

export default {
  testEnvironment: 'node',
  roots: ['<rootDir>/test'],
  globalSetup: './test/helpers/warm-programs.js',
  globalTeardown: './test/helpers/end-warm-programs.js',
  testSequencer: './test/helpers/longest-first.js',
  setupFiles: ['./test/helpers/real-console.js'],
  setupFilesAfterEnv: ['./test/helpers/reset-exit-code.js'],
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: {'^(\\.{1,2}/.*)\\.js$': '$1'},
  // A guard against what hangs, on a slow machine too.
  testTimeout: 180_000,
  // Many tests wait for processes of their own: one more than there are processors keeps these busy, as far as memory goes.
  maxWorkers: Math.max(1, Math.min(processors() + 1, Math.floor(memory / bytesOfWorker))),
  // A process that has grown starts others slowly: its memory is copied, page by page of the table.
  workerIdleMemoryLimit: '300MB',
  transform: {
    '^.+\\.ts$': ['@swc/jest', {jsc: {parser: {syntax: 'typescript'}, target: 'es2022'}, module: {type: 'es6'}}],
  },
}
