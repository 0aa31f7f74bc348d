import {availableParallelism} from 'node:os'

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
  // Many tests wait for processes of their own: one more than there are processors keeps these busy.
  maxWorkers: availableParallelism() + 1,
  // A process that has grown starts others slowly: its memory is copied, page by page of the table.
  workerIdleMemoryLimit: '300MB',
  transform: {
    '^.+\\.ts$': ['@swc/jest', {jsc: {parser: {syntax: 'typescript'}, target: 'es2022'}, module: {type: 'es6'}}],
  },
}
