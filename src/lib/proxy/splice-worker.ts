/**
 * A process that splices sessions of the proxy, and does nothing else: it has no key, knows no route and decides nothing
 * (splice-messages.ts). It ends with the proxy, or when the proxy lets go of it.
 */
import type {Socket} from 'node:net'
import {keepHeapSmall} from '../core/heap-growth.js'
import type {ReadyReport} from '../core/worker-pool.js'
import {LocalJoint} from './joint.js'
import type {SpliceOrder, SpliceReport} from './splice-messages.js'

interface Session {
  readonly joint: LocalJoint
  readonly client: Socket
  /** On which the ClientHello is sent next. */
  connection?: Socket | undefined
  /** An agent has: from then on the connection is that one. */
  answered?: boolean
}

type Offer = Extract<SpliceOrder, {offer: number}>

const sessions = new Map<number, Session>()

function report(what: SpliceReport | ReadyReport): void {
  // The proxy may be gone, and then nobody waits for it.
  process.send?.(what, undefined, undefined, ignore)
}

function obey(order: SpliceOrder, socket: Socket | undefined): void {
  if ('client' in order) {
    if (!socket) return
    adopt(socket)
    sessions.set(order.client, {joint: new LocalJoint(socket), client: socket})
  } else if ('connection' in order) {
    const session = sessions.get(order.connection)
    if (socket) adopt(socket)
    if (session && !session.answered) {
      session.connection?.destroy()
      session.connection = socket
    } else {
      socket?.destroy()
    }
  } else if ('offer' in order) {
    void offer(order)
  } else {
    const session = sessions.get(order.close)
    sessions.delete(order.close)
    session?.joint.close()
    session?.connection?.destroy()
  }
}

async function offer({offer: number, attempt, hello, milliseconds}: Offer): Promise<void> {
  const session = sessions.get(number)
  const answered = session !== undefined && (await tryOffer(session, Buffer.from(hello, 'base64'), milliseconds))
  report({offered: number, attempt, answered})
  // It may have been closed while the agent took its time.
  if (!session || !answered || !sessions.has(number)) return
  const counts = await session.joint.run()
  sessions.delete(number)
  report({ended: number, counts})
}

async function tryOffer(session: Session, hello: Buffer, milliseconds: number): Promise<boolean> {
  const {joint, connection} = session
  // The proxy gave up an attempt that then succeeded after all: the client hears that agent, and can hear no other.
  if (!connection || session.answered) return false
  const answered = await joint.offer(connection, hello, milliseconds)
  if (answered) session.answered = true
  return answered
}

/** The end of one direction is passed on, not answered; and an error without a listener would end the process. */
function adopt(socket: Socket): void {
  socket.allowHalfOpen = true
  socket.on('error', ignore)
}

function ignore(): void {
  // `close` follows, and acts.
}

// The proxy decides when sessions end; a signal for the whole group of processes must not do it first.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, ignore)
process.on('message', (order: SpliceOrder, socket: Socket | undefined) => {
  obey(order, socket)
})
process.on('disconnect', () => {
  for (const {joint, connection} of sessions.values()) {
    joint.close()
    connection?.destroy()
  }
})
keepHeapSmall()
report({ready: true})
