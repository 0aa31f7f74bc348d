import {expect, it} from '@jest/globals'
import type {AwsClients, Caller} from '../../../src/lib/aws/clients.js'
import {describeOnAws} from '../../../src/lib/aws/description.js'

it('a database without an id is not looked for among all clusters of the account', async () => {
  let asked = 0
  const send = (): Promise<object> => Promise.resolve({DBClusters: [{DBClusterIdentifier: String((asked += 1))}]})
  const clients = {rds: () => Promise.resolve({send, destroy: () => undefined})} as unknown as AwsClients
  const endpoint = {host: 'db.example.com', port: 5432}
  const database = {
    name: 'db',
    type: 'rds',
    endpoint,
    settings: {},
    role: undefined,
    externalId: undefined,
    admin: undefined,
  } as const
  const description = describeOnAws({clients, caller: {} as Caller, database})
  await expect(description).rejects.toMatchObject({name: 'NotFound'})
  expect(asked).toBe(0)
})
