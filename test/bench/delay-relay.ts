/**
 * Distance in user space: `node delay-relay.js TARGET-PORT MILLISECONDS` forwards a port of 127.0.0.1 and holds every
 * byte back for the milliseconds, each way; a new connection pays its handshake, a journey there and back, as well.
 */
import {connect, createServer, type AddressInfo, type Socket} from 'node:net'

const [target, oneWay] = process.argv.slice(2).map(Number) as [number, number]

interface Parcel {
  readonly due: number
  readonly deliver: () => void
}

/** Delivers in order, each when it is due: a timer for the whole milliseconds, and turns of the event loop for the rest. */
class Line {
  readonly #parcels: Parcel[] = []
  #waiting = false

  send(parcel: Parcel): void {
    this.#parcels.push(parcel)
    if (!this.#waiting) this.#wait()
  }

  #wait(): void {
    const [next] = this.#parcels
    this.#waiting = next !== undefined
    if (!next) return
    const left = next.due - performance.now()
    if (left > 1.5) setTimeout(this.#wait.bind(this), left - 1)
    else if (left > 0) setImmediate(this.#wait.bind(this))
    else {
      this.#parcels.shift()
      next.deliver()
      this.#wait()
    }
  }
}

function forward(from: Socket, to: Socket, notBefore: number): void {
  const line = new Line()
  const send = (deliver: () => void): void => {
    line.send({due: Math.max(performance.now(), notBefore) + oneWay, deliver})
  }
  from.on('data', (chunk) => {
    send(() => to.write(chunk))
  })
  from.on('end', () => {
    send(() => to.end())
  })
  from.on('error', () => undefined)
  from.on('close', () => {
    send(() => {
      to.destroySoon()
    })
  })
}

const server = createServer({allowHalfOpen: true, noDelay: true}, (client) => {
  const accepted = performance.now()
  const upstream = connect({host: '127.0.0.1', port: target, allowHalfOpen: true})
  upstream.setNoDelay(true)
  forward(client, upstream, accepted + 2 * oneWay)
  forward(upstream, client, 0)
}).listen(0, '127.0.0.1', () => {
  process.stdout.write(`listening on ${(server.address() as AddressInfo).port}\n`)
})
