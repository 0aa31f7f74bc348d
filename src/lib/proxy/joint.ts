import type {Socket} from 'node:net'
import {afterRunning} from '../core/running-time.js'
import {splice, type SpliceCounts} from '../tunnel/splice.js'

/** Where one client is joined with an agent: in this process, or in a worker (splice-workers.ts). */
export interface Joint {
  /** Sends the ClientHello on a data connection; whether a byte came back in time. A connection without an answer is closed. */
  offer(connection: Socket, hello: Buffer, milliseconds: number): Promise<boolean>
  /** Joins the client with the connection that answered; resolves when both are closed. */
  run(): Promise<SpliceCounts>
  /** Closes what it holds. */
  close(): void
}

/** Joins in this process. */
export class LocalJoint implements Joint {
  readonly #client: Socket
  #connection: Socket | undefined

  constructor(client: Socket) {
    this.#client = client
  }

  async offer(connection: Socket, hello: Buffer, milliseconds: number): Promise<boolean> {
    connection.write(hello)
    if (!(await answers(connection, milliseconds))) {
      connection.destroy()
      return false
    }
    this.#connection = connection
    return true
  }

  run(): Promise<SpliceCounts> {
    if (!this.#connection) throw new Error('no agent has answered')
    return splice(this.#client, this.#connection)
  }

  close(): void {
    this.#client.destroy()
    this.#connection?.destroy()
  }
}

/** Whether a byte comes in time; it is put back. */
function answers(socket: Socket, milliseconds: number): Promise<boolean> {
  return new Promise((resolve) => {
    const finish = (answered: boolean): void => {
      forget()
      socket.off('data', onData).off('end', onEnd).off('close', onEnd).pause()
      resolve(answered)
    }
    const onEnd = (): void => {
      finish(false)
    }
    const onData = (bytes: Buffer): void => {
      finish(true)
      socket.unshift(bytes)
    }
    const forget = afterRunning(milliseconds, onEnd)
    socket.on('data', onData).on('end', onEnd).on('close', onEnd).resume()
    if (socket.destroyed) onEnd()
  })
}
