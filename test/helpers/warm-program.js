// Runs commands of the built program, one after the other, as bin/run.js runs one. Everything that a command has of its
// process is the order's: words, environment, directory, the three streams, and the exit code.
import {Buffer} from 'node:buffer'
import {resolve} from 'node:path'
import {Readable, Writable} from 'node:stream'
import {pathToFileURL} from 'node:url'
import {run} from '../../dist/lib/cli/run.js'

const program = resolve('bin/run.js')
process.once('disconnect', () => process.exit())

process.on('message', ({words, environment, input, directory}) => {
  for (const name of Object.keys(process.env)) Reflect.deleteProperty(process.env, name)
  Object.assign(process.env, environment)
  process.chdir(directory)
  process.argv = [process.execPath, program, ...words]
  process.exitCode = undefined
  const stdout = collect()
  const stderr = collect()
  const streams = {stdin: Readable.from([Buffer.from(input)]), stdout: stdout.stream, stderr: stderr.stream}
  for (const [name, value] of Object.entries(streams)) Object.defineProperty(process, name, {value, configurable: true})
  // A rejection ends this process, as it would end the command's own.
  void run(pathToFileURL(program).href).then(() => {
    process.send({code: process.exitCode ?? 0, stdout: stdout.text(), stderr: stderr.text()})
  })
})

function collect() {
  const chunks = []
  const stream = new Writable({
    write: (chunk, _encoding, done) => {
      chunks.push(chunk)
      done()
    },
  })
  return {stream, text: () => Buffer.concat(chunks).toString()}
}
