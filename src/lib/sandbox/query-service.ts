/** The AWS Query protocol (Smithy specification, "AWS query protocol"): form fields in, XML out. */
import type {ApiRequest, ApiService, Call, WireAnswer} from './api-call.js'
import {Fault} from './fault.js'
import {QueryFields} from './query-fields.js'
import type {World} from './world.js'
import {writeXml, type XmlValue} from './xml.js'

export interface QueryCall extends Call {
  readonly fields: QueryFields
}

/** Answers a call with the contents of the result; undefined for none. @throws Fault */
export type QueryOperation = (call: QueryCall) => XmlValue

export interface QueryServiceParts {
  /** Of the XML. */
  readonly namespace: string
  readonly operations: Readonly<Record<string, QueryOperation>>
  /** Those that need no signature. */
  readonly anonymous?: Readonly<
    Record<string, (call: {readonly world: World; readonly fields: QueryFields}) => XmlValue>
  >
}

const contentType = 'text/xml'

export function queryService({namespace, operations, anonymous = {}}: QueryServiceParts): ApiService {
  const attributes = ` xmlns="${namespace}"`
  const write = (action: string, result: XmlValue, {id}: ApiRequest): WireAnswer => {
    const body = {[`${action}Result`]: result, ResponseMetadata: {RequestId: id}}
    return {status: 200, contentType, body: writeXml(`${action}Response`, body, attributes)}
  }
  return {
    actionOf: (request) => fieldsOf(request).text('Action') ?? '',
    isAnonymous: (action) => Object.hasOwn(anonymous, action),
    answerAnonymous: (action, request, world) => {
      const result = find(anonymous, action)({world, fields: fieldsOf(request)})
      return write(action, result, request)
    },
    answer: (action, request, call) => {
      const result = find(operations, action)({...call, fields: fieldsOf(request)})
      return write(action, result, request)
    },
    refuse: ({code, status, message}, {id}) => {
      const error = {Type: status < 500 ? 'Sender' : 'Receiver', Code: code, Message: message}
      return {status, contentType, body: writeXml('ErrorResponse', {Error: error, RequestId: id}, attributes)}
    },
  }
}

const fieldsOf = ({body, query}: ApiRequest): QueryFields => new QueryFields(body === '' ? query : body)

function find<T>(operations: Readonly<Record<string, T>>, action: string): T {
  const operation = Object.hasOwn(operations, action) ? operations[action] : undefined
  if (!operation) throw new Fault('InvalidAction', 400, `Could not find operation ${action}`)
  return operation
}
