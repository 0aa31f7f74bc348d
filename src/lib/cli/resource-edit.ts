import {PosternError, toPosternError} from '../core/errors.js'
import type {Kind, Reference} from '../resources/kinds.js'
import type {Resource} from '../resources/resource.js'
import {EditedFile} from './edited-file.js'
import {describeResource, renderYaml} from './resource-text.js'
import {announcedOnly, replaceResource} from './resource-writing.js'
import type {Connection} from './user-login.js'

/**
 * Lets somebody edit a resource as YAML, and saves it as long as nobody else has changed it meanwhile. Whatever goes
 * wrong after they have changed the text, it is kept in its file.
 * @returns whether there was something to save
 * @throws PosternError NOT_FOUND, CONFLICT, INVALID, FAILED; hints say where the text is
 */
export async function editResource(connection: Connection, {kind, name}: Required<Reference>): Promise<boolean> {
  if (kind === 'db_server') throw announcedOnly()
  const {items} = await connection.ask((client) => client.getResource<Kind>(kind, name))
  const [resource] = items
  if (!resource) throw new PosternError('NOT_FOUND', `There is no ${describeResource(kind, name)}.`)
  const before = `${await renderYaml([resource])}\n`
  const file = await EditedFile.create(`${kind}.yaml`, before)
  let isKept = false
  try {
    await file.edit()
    const after = await file.read()
    if (after === before) return false
    const edited = await readEdited(after, resource)
    await connection.ask((client) => replaceResource(client, edited))
    return true
  } catch (error) {
    isKept = (await file.read().catch(() => undefined)) !== before
    throw isKept ? keptIn(file.path, toPosternError(error)) : error
  } finally {
    if (!isKept) await file.remove()
  }
}

function keptIn(path: string, error: PosternError): PosternError {
  const next =
    error.code === 'CONFLICT'
      ? [
          'Compare it with what `postern get` prints now.',
          `Then give it the newer revision and run \`postern update ${path}\`.`,
        ]
      : [...error.hints, `\`postern update ${path}\` saves it.`]
  return new PosternError(error.code, error.message, {cause: error, hint: [`Your text is kept in ${path}.`, ...next]})
}

/** The resource in the text, at the revision that was read, whatever became of that line. */
async function readEdited(text: string, {kind, metadata}: Resource): Promise<Resource> {
  const {parseDocuments} = await import('../resources/document.js')
  const [edited, ...others] = parseDocuments(text)
  if (!edited || others.length > 0 || edited.kind !== kind || edited.metadata.name !== metadata.name) {
    throw new PosternError('INVALID', `The text is no longer the one ${describeResource(kind, metadata.name)}.`, {
      hint: 'Kind and name stay as they are. To copy or rename, give a file to `postern create`.',
    })
  }
  return {...edited, metadata: {...edited.metadata, revision: metadata.revision}}
}
