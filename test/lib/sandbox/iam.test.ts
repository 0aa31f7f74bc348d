import {
  AttachRolePolicyCommand,
  AttachUserPolicyCommand,
  CreatePolicyCommand,
  CreatePolicyVersionCommand,
  DeletePolicyVersionCommand,
  DeleteRolePolicyCommand,
  DeleteUserPolicyCommand,
  GetPolicyCommand,
  GetPolicyVersionCommand,
  GetRoleCommand,
  GetRolePolicyCommand,
  GetUserCommand,
  GetUserPolicyCommand,
  IAMClient,
  ListAttachedRolePoliciesCommand,
  ListAttachedUserPoliciesCommand,
  ListPolicyVersionsCommand,
  PutRolePolicyCommand,
  PutUserPolicyCommand,
  SimulatePrincipalPolicyCommand,
} from '@aws-sdk/client-iam'
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import {allow, failureOf, home, policy, startRig, trust, type Rig} from './rig.js'

let rig: Rig
let iam: IAMClient

const policyArn = (name: string): string => `arn:aws:iam::${home}:policy/${name}`
const document = (size: number): string => JSON.stringify(allow(`s3:${'x'.repeat(size)}`))
const exactly = (characters: number): string => document(characters - document(0).length)

beforeAll(async () => {
  rig = await startRig({
    accounts: [
      {
        id: home,
        users: [
          {name: 'operator', inline: {all: allow('*')}},
          {name: 'reader', inline: {read: allow('iam:GetRole', `arn:aws:iam::${home}:role/a*`)}, boundary: 'bound'},
          {name: 'untagging', inline: {create: allow('iam:CreatePolicy')}},
        ],
        policies: [{name: 'bound', document: allow('iam:*')}],
        roles: [
          {
            name: 'agent',
            path: '/services/',
            trust: trust({Service: 'ec2.amazonaws.com'}),
            boundary: 'bound',
            tags: {team: 'db'},
          },
          {name: 'simulated', trust: trust('*'), inline: {db: allow('rds-db:connect', '*')}, boundary: 'bound'},
        ],
      },
    ],
  })
  iam = new IAMClient(rig.client(rig.keyOf('operator')))
})

afterAll(() => rig.close())

describe('an identity', () => {
  it('is a role with its path, trust policy, boundary and tags', async () => {
    const {Role} = await iam.send(new GetRoleCommand({RoleName: 'agent'}))
    expect(Role).toMatchObject({
      Arn: `arn:aws:iam::${home}:role/services/agent`,
      Path: '/services/',
      PermissionsBoundary: {PermissionsBoundaryArn: policyArn('bound')},
      Tags: [{Key: 'team', Value: 'db'}],
    })
    expect(JSON.parse(decodeURIComponent(Role?.AssumeRolePolicyDocument ?? ''))).toEqual(
      trust({Service: 'ec2.amazonaws.com'}),
    )
  })

  it('is a user, or the one who asks', async () => {
    const {User} = await iam.send(new GetUserCommand({UserName: 'reader'}))
    expect(User?.Arn).toBe(`arn:aws:iam::${home}:user/reader`)
    expect((await iam.send(new GetUserCommand({}))).User?.UserName).toBe('operator')
  })

  it.each([
    [new GetRoleCommand({RoleName: 'x'}), 'The role with name x cannot be found.'],
    [new GetUserCommand({UserName: 'x'}), 'The user with name x cannot be found.'],
  ])('that is not there is named', async (command, message) => {
    expect(await failureOf(iam.send(command as GetRoleCommand))).toEqual({
      name: 'NoSuchEntityException',
      status: 404,
      message,
    })
  })

  it('is shown only to those who may see it', async () => {
    const reader = new IAMClient(rig.client(rig.keyOf('reader')))
    expect(await failureOf(reader.send(new GetRoleCommand({RoleName: 'agent'})))).toEqual({
      name: 'AccessDenied',
      status: 403,
      message:
        `User: arn:aws:iam::${home}:user/reader is not authorized to perform: iam:GetRole on resource: role agent ` +
        'because no identity-based policy allows the iam:GetRole action',
    })
    expect((await failureOf(reader.send(new GetRoleCommand({RoleName: 'absent'})))).name).toBe('NoSuchEntityException')
  })
})

describe('an inline policy', () => {
  it('of a role is put, read and deleted', async () => {
    const names = {RoleName: 'agent', PolicyName: 'p'}
    await iam.send(new PutRolePolicyCommand({...names, PolicyDocument: exactly(100)}))
    const {PolicyDocument} = await iam.send(new GetRolePolicyCommand(names))
    expect(decodeURIComponent(PolicyDocument ?? '')).toBe(exactly(100))
    await iam.send(new DeleteRolePolicyCommand(names))
    expect(await failureOf(iam.send(new GetRolePolicyCommand(names)))).toMatchObject({
      name: 'NoSuchEntityException',
      message: 'The role policy with name p cannot be found.',
    })
  })

  it('of a user fits 2048 characters, all of them together', async () => {
    const put = (PolicyName: string, characters: number) =>
      iam.send(new PutUserPolicyCommand({UserName: 'reader', PolicyName, PolicyDocument: exactly(characters)}))
    const {PolicyDocument} = await iam.send(new GetUserPolicyCommand({UserName: 'reader', PolicyName: 'read'}))
    const used = decodeURIComponent(PolicyDocument ?? '').length
    await put('second', 2048 - used)
    expect(await failureOf(put('second', 2049 - used))).toEqual({
      name: 'LimitExceededException',
      status: 409,
      message: 'Maximum policy size of 2048 bytes exceeded for user reader',
    })
    await iam.send(new DeleteUserPolicyCommand({UserName: 'reader', PolicyName: 'second'}))
  })

  it('of a role fits 10240 characters, white space not counted', async () => {
    const put = (PolicyDocument: string) =>
      iam.send(new PutRolePolicyCommand({RoleName: 'agent', PolicyName: 'big', PolicyDocument}))
    await put(JSON.stringify(JSON.parse(exactly(10_240)), undefined, 4))
    expect((await failureOf(put(exactly(10_241)))).message).toBe(
      'Maximum policy size of 10240 bytes exceeded for role agent',
    )
    await iam.send(new DeleteRolePolicyCommand({RoleName: 'agent', PolicyName: 'big'}))
  })

  it('has to be a policy', async () => {
    const broken = new PutRolePolicyCommand({RoleName: 'agent', PolicyName: 'p', PolicyDocument: '{"Statement": 1}'})
    expect(await failureOf(iam.send(broken))).toMatchObject({name: 'MalformedPolicyDocumentException', status: 400})
  })
})

describe('a managed policy', () => {
  it('lives through its versions, of which there are five', async () => {
    const Tags = [{Key: 'postern', Value: ''}]
    const create = new CreatePolicyCommand({
      PolicyName: 'DatabaseAccess',
      PolicyDocument: exactly(100),
      Description: 'd',
      Tags,
    })
    const {Policy} = await iam.send(create)
    const PolicyArn = policyArn('DatabaseAccess')
    expect(Policy).toMatchObject({Arn: PolicyArn, DefaultVersionId: 'v1', Tags})
    expect(await failureOf(iam.send(create))).toMatchObject({
      name: 'EntityAlreadyExistsException',
      status: 409,
      message: 'A policy called DatabaseAccess already exists. Duplicate names are not allowed.',
    })

    const addVersion = () =>
      iam.send(new CreatePolicyVersionCommand({PolicyArn, PolicyDocument: exactly(101), SetAsDefault: true}))
    for (let version = 2; version <= 5; version += 1) await addVersion()
    expect(await failureOf(addVersion())).toMatchObject({name: 'LimitExceededException', status: 409})
    const {Versions} = await iam.send(new ListPolicyVersionsCommand({PolicyArn}))
    expect(Versions?.map(({VersionId, IsDefaultVersion}) => [VersionId, IsDefaultVersion])).toEqual([
      ['v5', true],
      ['v4', false],
      ['v3', false],
      ['v2', false],
      ['v1', false],
    ])

    const remove = (VersionId: string) => iam.send(new DeletePolicyVersionCommand({PolicyArn, VersionId}))
    expect(await failureOf(remove('v5'))).toMatchObject({name: 'DeleteConflictException'})
    await remove('v1')
    expect((await addVersion()).PolicyVersion?.VersionId).toBe('v6')
    const {PolicyVersion} = await iam.send(new GetPolicyVersionCommand({PolicyArn, VersionId: 'v6'}))
    expect(decodeURIComponent(PolicyVersion?.Document ?? '')).toBe(exactly(101))
    expect((await iam.send(new GetPolicyCommand({PolicyArn}))).Policy).toMatchObject({DefaultVersionId: 'v6', Tags})
  })

  it('fits 6144 characters', async () => {
    const create = (PolicyName: string, characters: number) =>
      iam.send(new CreatePolicyCommand({PolicyName, PolicyDocument: exactly(characters)}))
    await create('Largest', 6144)
    expect(await failureOf(create('TooLarge', 6145))).toMatchObject({
      name: 'LimitExceededException',
      message: 'Cannot exceed quota for PolicySize: 6144',
    })
    const version = new CreatePolicyVersionCommand({PolicyArn: policyArn('Largest'), PolicyDocument: exactly(6145)})
    expect(await failureOf(iam.send(version))).toMatchObject({name: 'LimitExceededException'})
  })

  it('with tags needs iam:TagPolicy', async () => {
    const untagging = new IAMClient(rig.client(rig.keyOf('untagging')))
    const tagged = new CreatePolicyCommand({
      PolicyName: 'T',
      PolicyDocument: exactly(100),
      Tags: [{Key: 'postern', Value: ''}],
    })
    expect((await failureOf(untagging.send(tagged))).message).toContain('iam:TagPolicy')
    await untagging.send(new CreatePolicyCommand({PolicyName: 'T', PolicyDocument: exactly(100)}))
  })

  it('that is not there is named', async () => {
    expect(await failureOf(iam.send(new GetPolicyCommand({PolicyArn: policyArn('x')})))).toEqual({
      name: 'NoSuchEntityException',
      status: 404,
      message: `Policy ${policyArn('x')} was not found.`,
    })
  })

  it('is attached to roles and users, once, ten to each', async () => {
    const bound = {PolicyName: 'bound', PolicyArn: policyArn('bound')}
    for (const command of [
      new AttachRolePolicyCommand({RoleName: 'agent', PolicyArn: bound.PolicyArn}),
      new AttachRolePolicyCommand({RoleName: 'agent', PolicyArn: bound.PolicyArn}),
    ]) {
      await iam.send(command)
    }
    const {AttachedPolicies} = await iam.send(new ListAttachedRolePoliciesCommand({RoleName: 'agent'}))
    expect(AttachedPolicies).toEqual([bound])

    const attach = (name: string) =>
      iam.send(new AttachUserPolicyCommand({UserName: 'untagging', PolicyArn: policyArn(name)}))
    for (let count = 1; count <= 10; count += 1) {
      await iam.send(new CreatePolicyCommand({PolicyName: `p${count}`, PolicyDocument: exactly(100)}))
      await attach(`p${count}`)
    }
    expect((await failureOf(attach('bound'))).message).toBe('Cannot exceed quota for PoliciesPerUser: 10')
    const list = new ListAttachedUserPoliciesCommand({UserName: 'untagging', MaxItems: 4})
    expect(await iam.send(list)).toMatchObject({IsTruncated: true, Marker: '4'})
    expect(await failureOf(attach('absent'))).toMatchObject({name: 'NoSuchEntityException'})
  })

  it('takes effect, and a new default version after the propagation delay', async () => {
    const reader = new IAMClient(rig.client(rig.keyOf('reader')))
    const PolicyArn = policyArn('Spreading')
    const see = () => reader.send(new GetUserCommand({UserName: 'operator'}))
    await iam.send(new CreatePolicyCommand({PolicyName: 'Spreading', PolicyDocument: exactly(100)}))
    await iam.send(new AttachUserPolicyCommand({UserName: 'reader', PolicyArn}))
    rig.sandbox.world.switches.propagationDelay = 60_000
    const PolicyDocument = JSON.stringify(allow('iam:GetUser'))
    await iam.send(new CreatePolicyVersionCommand({PolicyArn, PolicyDocument, SetAsDefault: true}))
    expect((await iam.send(new GetPolicyCommand({PolicyArn}))).Policy?.DefaultVersionId).toBe('v2')
    expect(await failureOf(see())).toMatchObject({name: 'AccessDenied'})
    rig.sandbox.world.switches.clockSkew = 61_000
    await see()
    Object.assign(rig.sandbox.world.switches, {propagationDelay: 0, clockSkew: 0})
  })
})

describe('a simulation', () => {
  it('says what a principal may do, and whether its boundary is in the way', async () => {
    const {EvaluationResults} = await iam.send(
      new SimulatePrincipalPolicyCommand({
        PolicySourceArn: `arn:aws:iam::${home}:role/simulated`,
        ActionNames: ['rds-db:connect', 'iam:GetRole'],
        ResourceArns: [`arn:aws:rds-db:us-west-1:${home}:dbuser:cluster-A/alice`],
      }),
    )
    expect(
      EvaluationResults?.map((result) => [
        result.EvalActionName,
        result.EvalDecision,
        result.PermissionsBoundaryDecisionDetail,
      ]),
    ).toEqual([
      ['rds-db:connect', 'implicitDeny', {AllowedByPermissionsBoundary: false}],
      ['iam:GetRole', 'implicitDeny', {AllowedByPermissionsBoundary: true}],
    ])
  })

  it('knows conditions from the context that is given', async () => {
    const statement = {
      Effect: 'Allow',
      Action: 'sts:AssumeRole',
      Resource: '*',
      Condition: {StringEquals: {'sts:ExternalId': 'x'}},
    }
    const PolicyDocument = JSON.stringify(policy(statement, {Effect: 'Deny', Action: 'iam:*', Resource: '*'}))
    await iam.send(new PutRolePolicyCommand({RoleName: 'agent', PolicyName: 'sim', PolicyDocument}))
    const decide = async (action: string, value: string) => {
      const ContextEntries = [
        {ContextKeyName: 'sts:ExternalId', ContextKeyValues: [value], ContextKeyType: 'string' as const},
      ]
      const PolicySourceArn = `arn:aws:iam::${home}:role/services/agent`
      const command = new SimulatePrincipalPolicyCommand({PolicySourceArn, ActionNames: [action], ContextEntries})
      return (await iam.send(command)).EvaluationResults?.[0]?.EvalDecision
    }
    // The boundary allows iam:* only.
    expect(await decide('sts:AssumeRole', 'x')).toBe('implicitDeny')
    expect(await decide('iam:GetRole', 'x')).toBe('explicitDeny')
    await iam.send(new DeleteRolePolicyCommand({RoleName: 'agent', PolicyName: 'sim'}))
  })
})
