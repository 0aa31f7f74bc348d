import {guideRole} from '../resources/guide-role.js'

/** Where things are, and what the guide calls them. */
interface GuideFacts {
  readonly directory: string
  readonly proxy: string
  readonly ca_pin: string
  readonly config: string
  readonly environment_file: string
  readonly database: {
    readonly name: string
    readonly uri: string
    readonly db_name: string
    readonly db_users: readonly string[]
  }
}

/** The rest of a guide, to be copied into a shell. */
export function remainingSteps(facts: GuideFacts, bin: string): string {
  const {directory, proxy, ca_pin: pin, config, environment_file: environment, database} = facts
  const agent = `${directory}/agent.yaml`
  const connect = database.db_users.map(
    (user) => `${bin} db connect --db-user=${user} --db-name=${database.db_name} ${database.name}`,
  )
  return `The sandbox is up. The steps of the guide that are left, for another terminal:

# A token for the agent, and its configuration
export POSTERN_HOME=${directory}/home
${bin} tokens add --type=db --format=text --config ${config} > ${directory}/token
${bin} db configure create --token=${directory}/token --name=${database.name} --proxy=${proxy} --ca-pin=${pin} --protocol=postgres --uri=${database.uri} --output file://${agent}
sed -i 's|/var/lib/postern|${directory}/agent|' ${agent}

# The agent, with the sandbox's AWS credentials; elsewhere it is a service
(set -a; . ${environment}; ${bin} start -c ${agent}) &

# A role and a user; the second command prints the URL for the third
${bin} create --config ${config} <<'EOF'
${guideRole.trimEnd()}
EOF
${bin} users add --roles=access,db alice --config ${config}
${bin} invite accept --ca-pin=${pin} URL

# Connect
${bin} login --proxy=${proxy} --user=alice --ca-pin=${pin}
${bin} db ls
${connect.join('\n')}

The sandbox ends with Ctrl-C.`
}
