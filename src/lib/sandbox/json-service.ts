/** The AWS JSON 1.1 protocol (Smithy specification, "AWS JSON 1.1 protocol"): the action in a header, JSON both ways. */
import type {ApiRequest, ApiService, Call} from './api-call.js'
import {Fault} from './fault.js'

export interface JsonCall extends Call {
  readonly input: Readonly<Record<string, unknown>>
}

/** Answers a call with its output. @throws Fault */
export type JsonOperation = (call: JsonCall) => Readonly<Record<string, unknown>>

const contentType = 'application/x-amz-json-1.1'

/** The same refusals have other names here than in the Query protocol. */
const codes: Readonly<Record<string, string>> = {
  AccessDenied: 'AccessDeniedException',
  ExpiredToken: 'ExpiredTokenException',
  IncompleteSignature: 'IncompleteSignatureException',
  InternalFailure: 'InternalServerException',
  InvalidAction: 'UnknownOperationException',
  InvalidClientTokenId: 'UnrecognizedClientException',
  InvalidParameterValue: 'ValidationException',
  MissingAuthenticationToken: 'MissingAuthenticationTokenException',
  ServiceUnavailable: 'ServiceUnavailableException',
  SignatureDoesNotMatch: 'InvalidSignatureException',
  Throttling: 'ThrottlingException',
}

/** @param target what stands before the dot in X-Amz-Target. */
export function jsonService(target: string, operations: Readonly<Record<string, JsonOperation>>): ApiService {
  return {
    actionOf: ({headers}) => {
      const [service, action = ''] = (headers.get('x-amz-target')?.[0] ?? '').split('.')
      return service === target ? action : ''
    },
    isAnonymous: () => false,
    answerAnonymous: (action) => {
      throw unknownOperation(action)
    },
    answer: (action, request, call) => {
      const operation = Object.hasOwn(operations, action) ? operations[action] : undefined
      if (!operation) throw unknownOperation(action)
      return {status: 200, contentType, body: JSON.stringify(operation({...call, input: parseInput(request)}))}
    },
    refuse: ({code, status, message}) => {
      const type = codes[code] ?? code
      // This protocol's clients read the type, not the status; AWS sends 400 for all that is the client's fault.
      const headers = {'x-amzn-errortype': type}
      return {status: status < 500 ? 400 : status, contentType, headers, body: JSON.stringify({__type: type, message})}
    },
  }
}

const unknownOperation = (action: string): Fault =>
  new Fault('InvalidAction', 400, `Could not find operation ${action}`)

function parseInput({body}: ApiRequest): Readonly<Record<string, unknown>> {
  try {
    const input: unknown = JSON.parse(body)
    if (typeof input === 'object' && input !== null) return input as Readonly<Record<string, unknown>>
  } catch {
    // As any other body that is no object.
  }
  throw new Fault('SerializationException', 400, 'The request is no JSON object.')
}
