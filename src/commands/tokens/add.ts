import * as Flags from '@oclif/core/flags'
import type {TokenResponse} from '../../lib/api/responses.js'
import {BaseCommand} from '../../lib/cli/base-command.js'
import {openAdminConnection} from '../../lib/cli/connection.js'
import {adminFlags, formats, list, mergeLabels, repeated, seconds} from '../../lib/cli/flags.js'
import {parseJoinRoles, renderJoinInstructions} from '../../lib/cli/token-text.js'

export default class TokensAdd extends BaseCommand {
  static override summary = 'Make a token with which an agent or a proxy joins the cluster.'
  static override description = `Without --format it prints what to run on the new host. With --format=text it prints the token and nothing else.

A token for agents may be narrowed to the databases they are to serve: by name with --databases, by labels with --labels.`
  static override examples = [
    {command: '<%= config.bin %> <%= command.id %> --type=db', description: 'Show how to start an agent'},
    {
      command: '<%= config.bin %> <%= command.id %> --type=db --format=text > /tmp/token',
      description: 'Put a token into a file',
    },
    {
      command: '<%= config.bin %> <%= command.id %> --type=db --ttl=1h --labels=env=dev',
      description: 'Let the agent serve databases with the label env=dev only',
    },
  ]
  static override flags = {
    ...adminFlags,
    type: Flags.string({
      ...list,
      required: true,
      description: 'what may join: db, proxy, discovery',
      helpValue: 'TYPE,',
    }),
    ttl: seconds({description: 'how long it can be used (default: 30m)'}),
    value: Flags.string({description: 'use this token instead of a random one', helpValue: 'TOKEN'}),
    databases: Flags.string({...list, description: 'names of databases the agent may serve', helpValue: 'NAME,'}),
    labels: Flags.string({
      ...repeated,
      description: 'labels that every database of the agent must have',
      helpValue: 'KEY=VALUE,',
    }),
    'db-name': Flags.string({description: 'name to show in the instructions', helpValue: 'NAME'}),
    'db-protocol': Flags.string({description: 'protocol to show in the instructions', helpValue: 'PROTOCOL'}),
    'db-uri': Flags.string({description: 'address to show in the instructions', helpValue: 'HOST:PORT'}),
    format: Flags.option({
      char: 'f',
      options: formats,
      description: 'print only the token (text), or its data',
    })(),
  }

  async run(): Promise<TokenResponse> {
    const {flags} = await this.parse(TokensAdd)
    const roles = parseJoinRoles(flags.type)
    const scope = {names: flags.databases, labels: mergeLabels(flags.labels)}
    const connection = await openAdminConnection(flags, this.surroundings)
    const token = await connection.ask((client) =>
      client.addToken({roles, ttlSeconds: flags.ttl, value: flags.value, databases: scope}),
    )
    if (flags.format === undefined) {
      this.print(
        renderJoinInstructions(token, {name: flags['db-name'], protocol: flags['db-protocol'], uri: flags['db-uri']}),
      )
    } else {
      const {expires, roles, token: value} = token
      await this.show(flags.format, {expires, roles, token: value}, () => value)
    }
    return token
  }
}
