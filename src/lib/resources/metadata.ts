import {z} from 'zod'
import {singletonNames, type SingletonKind} from './kinds.js'

/**
 * Names of resources end up in keys, URLs, file names and on terminals: no slash, no control or invisible character, no
 * surrounding space, and not the names of directories.
 */
export const resourceName = z
  .string()
  .min(1)
  .max(256)
  .regex(
    /^(?!\.{1,2}$)(?!\s)[^/\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]*(?<!\s)$/u,
    'must not hold slashes, control or invisible characters, or surrounding spaces',
  )

/** A map with keys of its own. `z.record` skips the key `__proto__` in silence, and a selector that loses a key selects more. */
export function mapOf<Output, Input>(
  key: z.ZodString,
  value: z.ZodType<Output, Input>,
): z.ZodType<Record<string, Output>, Record<string, Input>> {
  return z
    .custom<Record<string, Input>>(
      (map) => typeof map !== 'object' || map === null || !Object.hasOwn(map, '__proto__'),
      'must not hold the key __proto__',
    )
    .pipe<z.ZodType<Record<string, Output>, Record<string, Input>>>(z.record(key, value))
}

export const labelMap = mapOf(z.string().min(1).max(256), z.string().max(1024))

export const metadataSchema = z.strictObject({
  name: resourceName,
  description: z.string().max(1024).optional(),
  labels: labelMap.optional(),
  /** RFC 3339; the resource vanishes then. */
  expires: z.iso.datetime({offset: true}).optional(),
  /** Set by the control plane; compared when it is sent back. */
  revision: z.string().optional(),
  /** Found in files written for other systems; means nothing here. */
  namespace: z.literal('default').optional(),
  id: z.number().optional(),
})

/** When the resource vanishes, milliseconds since 1970; undefined when it stays. */
export const expiryOf = ({expires}: {readonly expires?: string | undefined}): number | undefined =>
  expires === undefined ? undefined : Date.parse(expires)

/** Of the one resource of its kind. */
export function singletonMetadata(kind: SingletonKind) {
  const only = singletonNames[kind]
  const name = z.string().refine((text) => text === only, `must be ${only}: there is only one`)
  return metadataSchema.extend({name})
}
