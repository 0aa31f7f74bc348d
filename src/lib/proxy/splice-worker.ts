/**
 * A process that splices sessions of the proxy, and does nothing else: it has no key, knows no route and decides nothing
 * (splice-messages.ts). It ends with the proxy, or when the proxy lets go of it.
 */
import type {Socket} from 'node:net'
import {letHeapGrow} from '../core/heap-growth.js'
import type {ReadyReport} from '../core/worker-pool.js'
import {LocalJoint} from './joint.js'
import type {SpliceOrder, SpliceReport} from './splice-messages.js'

interface Session {
  readonly joint: LocalJoint
  readonly client: Socket
  /** On which the ClientHello is sent next. */
  connection?: Socket | undefined
}

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
    if (session) session.connection = socket
    else socket?.destroy()
  } else if ('offer' in order) {
    void offer(order.offer, Buffer.from(order.hello, 'base64'), order.milliseconds)
  } else {
    const session = sessions.get(order.close)
    sessions.delete(order.close)
    session?.joint.close()
    session?.connection?.destroy()
  }
}

async function offer(number: number, hello: Buffer, milliseconds: number): Promise<void> {
  const session = sessions.get(number)
  const connection = session?.connection
  const answered = connection !== undefined && (await session?.joint.offer(connection, hello, milliseconds)) === true
  report({offered: number, answered})
  // It may have been closed while the agent took its time.
  if (!session || !answered || !sessions.has(number)) return
  const counts = await session.joint.run()
  sessions.delete(number)
  report({ended: number, counts})
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
letHeapGrow()
report({ready: true})
