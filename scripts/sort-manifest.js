/** Sorts the commands of oclif.manifest.json: oclif writes them in the order in which the disk lists the files. */
import {readFileSync, writeFileSync} from 'node:fs'

const file = new URL('../oclif.manifest.json', import.meta.url)
const {commands, ...rest} = JSON.parse(readFileSync(file, 'utf8'))
const sorted = Object.fromEntries(
  Object.keys(commands)
    .sort()
    .map((id) => [id, commands[id]]),
)
writeFileSync(file, JSON.stringify({commands: sorted, ...rest}, null, 2))
