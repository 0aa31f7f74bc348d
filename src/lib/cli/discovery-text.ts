import type {PlacedMatcher, Verdict} from '../aws/discovery-verdict.js'
import type {Config} from '../config/settings.js'

/** The matchers of a configuration, by the keys that they stand under. */
export function placedMatchersOf({dbService, discoveryService}: Config): PlacedMatcher[] {
  return [
    ...dbService.aws.map((matcher, index) => ({place: `db_service.aws[${index}]`, matcher})),
    ...discoveryService.aws.map((matcher, index) => ({place: `discovery_service.aws[${index}]`, matcher})),
  ]
}

/** One line for each matcher, or for each endpoint that it finds. */
export function renderVerdicts(verdicts: readonly Verdict[]): string {
  if (verdicts.length === 0) return 'The configuration has no matchers: nothing is looked for in AWS.'
  return verdicts
    .flatMap(({place, found, reasons}) => [
      ...found.map(({name, uri}) => `${place}: found, as "${name}" (${uri}).`),
      ...reasons.map((reason) => `${place}: not found: ${reason}.`),
    ])
    .join('\n')
}
