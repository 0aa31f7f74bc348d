import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../lib/cli/base-command.js'
import {nameCommands} from '../lib/cli/calling-name.js'
import {openAdminConnection} from '../lib/cli/connection.js'
import {adminFlags, formatFlag, seconds} from '../lib/cli/flags.js'
import {describeUnknownTarget, newLock} from '../lib/cli/lock-creation.js'
import type {Lock as LockResource} from '../lib/resources/lock.js'

export default class Lock extends BaseCommand {
  static override summary = 'Lock out a user, everybody with a role, or a host.'
  static override description = `Sessions that the lock hits end within seconds, on every agent, and nothing that it hits can begin. With several targets it hits only what matches all of them. Without --ttl or --expires it is in force until it is removed: <%= config.bin %> rm lock/NAME.`
  static override examples = [
    '<%= config.bin %> <%= command.id %> --user=alice --ttl=24h --message="Laptop stolen, ask security"',
    '<%= config.bin %> <%= command.id %> --role=contractor --expires=2030-01-31T18:00:00Z',
    {
      command: '<%= config.bin %> <%= command.id %> --server-id=0d5f1f7e-96a4-4f7b-8d54-2f3f1a1c9e11',
      description: 'An agent or a proxy that is not to be trusted any more; get db_server shows the ids of agents',
    },
  ]
  static override flags = {
    ...adminFlags,
    ...formatFlag,
    // Here it is who is locked out, not who asks.
    user: Flags.string({description: 'user to lock out', helpValue: 'NAME'}),
    role: Flags.string({description: 'role whose holders are locked out', helpValue: 'NAME'}),
    'server-id': Flags.string({description: 'host to lock out, by its id', helpValue: 'ID'}),
    message: Flags.string({description: 'what those who are locked out are told', helpValue: 'TEXT'}),
    ttl: seconds({description: 'how long the lock is in force', exclusive: ['expires']}),
    expires: Flags.string({description: 'when the lock ends, RFC 3339', helpValue: 'MOMENT'}),
  }

  async run(): Promise<LockResource> {
    const {flags} = await this.parse(Lock)
    const {user, role, 'server-id': serverId, message, ttl: ttlSeconds, expires} = flags
    const lock = newLock({user, role, serverId, message, ttlSeconds, expires}, this.surroundings.clock.now())
    const connection = await openAdminConnection({...flags, user: undefined}, this.surroundings)
    const doubts = await connection.ask(async (client) => {
      await client.createResource(lock)
      return describeUnknownTarget(client, lock)
    })
    await this.show(flags.format, lock, () => `Created a lock with name "${lock.metadata.name}".`)
    for (const doubt of doubts) this.say(doubt)
    if (flags.format === 'text') this.say(nameCommands(`Lift it with: postern rm lock/${lock.metadata.name}`))
    return lock
  }
}
