import {describe, expect, it} from '@jest/globals'
import {compileCondition, type Vocabulary} from '../../../src/lib/access/predicate.js'
import {asked, decided, everything, role} from './asked.js'

interface Scope {
  readonly labels?: Readonly<Record<string, string>>
  readonly teams?: readonly string[]
  readonly name?: string
}

const vocabulary: Vocabulary<Scope> = {
  names: {
    labels: {map: 'text', lookUp: ({labels}, key) => labels && (labels[key] ?? '')},
    'user.teams': {type: 'list', read: ({teams}) => teams},
    name: {type: 'text', read: ({name}) => name},
  },
}

const scope: Scope = {labels: {env: 'dev', tags: 'a,b'}, teams: ['red', 'blue'], name: 'orders-1'}
const answer = (text: string, about = scope) => compileCondition(text, vocabulary).holds(about)

describe('a predicate', () => {
  it.each<[string, boolean]>([
    ['true', true],
    ['!true', false],
    ['!!true', true],
    ['true || false && false', true],
    ['(true || false) && false', false],
    ['labels["env"] == "dev"', true],
    ['labels.env == `dev`', true],
    ['labels["env"] != "prod" && name == "orders-1"', true],
    ['labels["missing"] == ""', true],
    ['labels[name] == ""', true],
    ['1 == 1.0', true],
    ['"a\\"b" == `a"b`', true],
    ['"\u0131" == "i"', false],
    ['contains(user.teams, "red")', true],
    ['contains(user.teams, "re")', false],
    ['contains("red", "red")', true],
    ['contains(split(labels["tags"], ","), "b")', true],
    ['contains_any(user.teams, set("green", "blue"))', true],
    ['contains_any(user.teams, set())', false],
    ['contains_all(user.teams, set("red", "blue"))', true],
    ['contains_all(user.teams, set("red", "green"))', false],
    ['contains_all(user.teams, set())', false],
    ['equals(name, "orders-1")', true],
    ['exists(labels["env"])', true],
    ['exists(labels["other"])', false],
    ['hasPrefix(name, "orders")', true],
    ['has_prefix(name, "order-")', false],
    ['regexp.match(user.teams, "r*")', true],
    ['regexp.match(user.teams, "^r$")', false],
    ['regexp.match(name, "^orders-[0-9]+$")', true],
    ['contains(regexp.replace(user.teams, "^b(.*)$", "$1"), "lue")', true],
    ['contains(regexp.replace(user.teams, "^b(.*)$", "$1"), "red")', false],
    ['contains(strings.upper(user.teams), "RED")', true],
    ['contains(email.local(set("alice@example.com", "none")), "alice")', true],
  ])('%s is %p', (text, expected) => {
    expect(answer(text)).toBe(expected)
  })

  it.each<[string, boolean | undefined]>([
    ['labels["env"] == "dev"', undefined],
    ['labels["env"] != "dev"', undefined],
    ['!(labels["env"] == "dev")', undefined],
    ['contains(user.teams, labels["env"])', undefined],
    ['labels["env"] == "dev" || name == "x"', true],
    ['name == "x" || labels["env"] == "dev"', true],
    ['labels["env"] == "dev" && name == "y"', false],
    ['labels["env"] == "dev" && name == "x"', undefined],
    ['labels["env"] == "dev" || name == "y"', undefined],
  ])('of what is not known, %s is %p', (text, expected) => {
    expect(answer(text, {name: 'x', teams: []})).toBe(expected)
  })

  it('does not grow a text without end', () => {
    let text = 'name'
    for (let depth = 0; depth < 20; depth += 1) text = `regexp.replace(${text}, "^(.*)$", "$1$1$1$1")`
    expect(() => answer(`contains(${text}, "x")`)).toThrow(expect.objectContaining({code: 'INVALID'}))
  })
})

describe('a label expression', () => {
  const expressed = (expression: string, more: object = {}) => ({
    ...everything,
    db_labels: undefined,
    db_labels_expression: expression,
    ...more,
  })
  const allows = (allow: object, labels: Record<string, string> = {env: 'dev'}, traits = {}, version = 'v7') =>
    decided(asked([role('r', {allow}, version)], traits, labels)).allowed

  it('allows by itself', () => {
    expect(allows(expressed('labels["env"] == "dev"'))).toBe(true)
    expect(allows(expressed('labels["env"] == "prod"'))).toBe(false)
    expect(allows(expressed(''))).toBe(false)
  })

  it('and a selector must both hold to allow', () => {
    const both = (expression: string) => expressed(expression, {db_labels: {env: 'dev'}})
    expect(allows(both('labels["team"] != "blue"'))).toBe(true)
    expect(allows(both('labels["team"] == "blue"'))).toBe(false)
    expect(allows(both('true'), {env: 'prod'})).toBe(false)
  })

  it('narrows what a role of version 3 selects without labels', () => {
    expect(allows(expressed('labels["env"] == "prod"'), {env: 'dev'}, {}, 'v3')).toBe(false)
    expect(allows(expressed('labels["env"] == "dev"'), {env: 'dev'}, {}, 'v3')).toBe(true)
  })

  it('or a selector is enough to deny', () => {
    const denies = (deny: object, labels: Record<string, string> = {env: 'dev'}) =>
      !decided(asked([role('all', {allow: everything}), role('but', {deny})], {}, labels)).allowed
    expect(denies({db_labels_expression: 'labels["env"] == "dev"'})).toBe(true)
    expect(denies({db_labels_expression: 'labels["env"] == "prod"'})).toBe(false)
    expect(denies({db_labels: {env: 'prod'}, db_labels_expression: 'labels["env"] == "dev"'})).toBe(true)
    expect(denies({db_labels: {env: 'dev'}, db_labels_expression: 'labels["env"] == "prod"'})).toBe(true)
    expect(denies({db_labels: {env: 'prod'}, db_labels_expression: 'labels["env"] == "qa"'})).toBe(false)
  })

  it('sees the traits and the name of the user', () => {
    const mine = expressed('contains(user.spec.traits["envs"], labels["env"]) && user.metadata.name == "alice"')
    expect(allows(mine, {env: 'dev'}, {envs: ['qa', 'dev']})).toBe(true)
    expect(allows(mine, {env: 'dev'}, {envs: ['qa']})).toBe(false)
    expect(allows(mine)).toBe(false)
  })

  it('collects the values of labels by the pattern of their keys', () => {
    const projects = expressed('contains_any(user.spec.traits["projects"], labels_matching("project-*"))')
    expect(allows(projects, {'project-a': 'apollo', env: 'gemini'}, {projects: ['apollo']})).toBe(true)
    expect(allows(projects, {'project-a': 'apollo', env: 'gemini'}, {projects: ['gemini']})).toBe(false)
  })
})

describe('the traits of a user', () => {
  it('make no regular expressions that could stall an agent', () => {
    const wide = role('wide', {allow: {...everything, db_labels: {team: '^{{external.team}}$'}}})
    const traits = {team: Array.from({length: 16}, (_, index) => `${index}.{0,900}`)}
    expect(() => decided(asked([wide], traits, {team: 'x'}))).toThrow(
      expect.objectContaining({code: 'INVALID', message: expect.stringContaining('Role "wide", spec.allow.db_labels')}),
    )
  })
})
