import {z} from 'zod'
import {nonceForm, placeForm} from './preamble.js'

/**
 * What proxy and agent say to each other on the control connection, one JSON object a line.
 *
 *   agent                                         proxy
 *     │ TLS 1.3, host certificate ─────────────────►│ checks it by itself, answers:
 *     │ ◄──────────────── {"welcome": "<proxy>.<worker>"} or {"refused": code, "message"}
 *     │ {"spares": 4, "recycle": ms} ──────────────►│ how many idle data connections to keep, and for how long
 *     │ ◄───────────────────────────── {"spare": nonce, "at"}   dial and stay idle
 *     │ ◄───────────────────── {"open": nonce, "at", "src"}     dial for a session now
 *     │ ◄─────────────────────────── {"use": nonce, "src"}      a session begins on that spare
 *     │ ◄──────────────── {"drain": [nonces], "deadline": ms}   end these sessions within so many milliseconds
 *     │ ◄── {"ping": n} / {"pong": n} ──────────────►│ both ways
 *
 * Only the proxy makes nonces, and only on this authenticated connection.
 */
const nonce = z.string().regex(nonceForm)
/** `<proxy>.<worker>`, for the preamble. */
const at = z.string().regex(placeForm)
/** The client's `ip:port`. */
const src = z.string().min(1).max(64)
const milliseconds = z.int().min(0)

/** Sessions named in one drain message, so that a line stays below the channel's limit. */
export const maximumDrainNonces = 1000
export const maximumSpares = 64

export const proxyMessageSchema = z.union([
  z.strictObject({welcome: at}),
  z.strictObject({refused: z.string().max(64), message: z.string().max(1024)}),
  z.strictObject({open: nonce, at, src}),
  z.strictObject({spare: nonce, at}),
  z.strictObject({use: nonce, src}),
  z.strictObject({drain: z.array(nonce).max(maximumDrainNonces), deadline: milliseconds}),
])

export const agentMessageSchema = z.strictObject({spares: z.int().min(0).max(maximumSpares), recycle: milliseconds})

export const pulseSchema = z.union([z.strictObject({ping: z.int().min(0)}), z.strictObject({pong: z.int().min(0)})])

export type ProxyMessage = z.infer<typeof proxyMessageSchema>
export type AgentMessage = z.infer<typeof agentMessageSchema>
