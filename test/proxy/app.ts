import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { acceptFor, echoFrames } from './frames.ts'

/** An app for the proxies under test to forward to. */
export interface App {
  readonly port: number
  /** How many answers that never end are open. */
  open(): number
  /** How many octets of the last `/big` were handed to the system. */
  sent(): number
  /** How many connections were made to it. */
  connections(): number
  /** How many requests came. */
  requests(): number
  close(): void
}

/** What `/echo` answers. */
export interface Echo {
  readonly method: string
  readonly url: string
  readonly raw: readonly string[]
  readonly length: number
  readonly sha: string
  readonly trailers: readonly string[]
}

/** Starts an app whose paths do what proxies get wrong. */
export async function startApp(host = '127.0.0.1', port = 0): Promise<App> {
  const sockets = new Set<Socket>()
  let [open, sent, connections, requests] = [0, 0, 0, 0]
  const stream = (response: ServerResponse): void => {
    open++
    response.writeHead(200, { 'Content-Type': 'text/event-stream' }).flushHeaders()
    const timer = setInterval(() => response.write(`data: ${Date.now()}\n\n`), 50)
    response.once('close', () => {
      open--
      clearInterval(timer)
    })
  }
  const big = (request: IncomingMessage, response: ServerResponse): void => {
    const size = Number(new URL(request.url ?? '', 'http://app').searchParams.get('size'))
    const part = Buffer.alloc(65_536, 'b')
    sent = 0
    response.writeHead(200, { 'Content-Type': 'application/octet-stream' })
    const more = (): void => {
      while (sent < size) {
        const next = part.subarray(0, Math.min(part.length, size - sent))
        sent += next.length
        if (!response.write(next)) return void response.once('drain', more)
      }
      response.end()
    }
    more()
  }
  const answers: Record<string, (request: IncomingMessage, response: ServerResponse) => void> = {
    '/echo': echo,
    '/stream': (_request, response) => stream(response),
    '/big': big,
    '/sink': (request, response) => {
      let length = 0
      request.on('data', (part: Buffer) => (length += part.length))
      request.once('end', () => response.end(String(length)))
    },
    '/trailers': (_request, response) => {
      response.writeHead(200, { Trailer: 'Grpc-Status, X-Sum' })
      response.write('hello')
      response.addTrailers({ 'Grpc-Status': '0', 'X-Sum': 'abc' })
      response.end()
    },
    '/early-hints': (_request, response) => {
      response.writeEarlyHints({ link: '</a.css>; rel=preload; as=style' })
      setTimeout(() => response.end('late'), 50)
    },
    '/die': (_request, response) => {
      response.writeHead(200, { 'Content-Length': '100' }).write('partial')
      setTimeout(() => response.destroy(), 100)
    },
    '/die-chunked': (_request, response) => {
      response.writeHead(200).write('partial')
      setTimeout(() => response.destroy(), 100)
    },
    '/reset': (request) => request.socket.destroy(),
    '/cookies': (_request, response) => {
      response.setHeader('Set-Cookie', ['a=1; Path=/', 'b=2; Path=/'])
      response.setHeader('X-Case-Name', 'Yes')
      response.end('ok')
    },
    '/204': (_request, response) => response.writeHead(204).end(),
    '/304': (_request, response) =>
      response.writeHead(304, { ETag: '"x"', 'Content-Length': '500' }).end(),
    '/connection': (_request, response) =>
      response
        .writeHead(200, {
          Connection: 'close, X-Secret',
          'X-Secret': '1',
          'Keep-Alive': 'timeout=5',
        })
        .end('ok'),
    '/hsts': (_request, response) =>
      response.writeHead(200, { 'Strict-Transport-Security': 'max-age=63072000' }).end('ok'),
    '/twice': (_request, response) =>
      response
        .writeHead(200, [
          ...['X-Content-Type-Options', 'nosniff', 'X-Content-Type-Options', 'nosniff'],
          ...['Vary', 'A', 'Vary', 'B'],
        ])
        .end('ok'),
    '/too-large': (_request, response) =>
      response.writeHead(413, { Connection: 'close' }).end('too large'),
    '/vite': (_request, response) =>
      response
        .writeHead(403)
        .end(
          'Blocked request. To allow this host, add it to `server.allowedHosts` in vite.config.js.',
        ),
  }
  const server = createServer({ keepAliveTimeout: 5_000 }, (request, response) => {
    requests++
    const path = new URL(request.url ?? '', 'http://app').pathname
    const answer = answers[path]
    if (answer !== undefined) return answer(request, response)
    response.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': '1024' })
    response.end('a'.repeat(1_024))
  })
  server.on('connection', (socket) => {
    connections++
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  server.on('upgrade', (request, socket, head) => {
    if (request.url === '/no-upgrade') {
      socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n')
      return
    }
    const protocol = request.headers['sec-websocket-protocol']?.split(',')[0]
    socket.write(
      [
        'HTTP/1.1 101 Switching Protocols',
        'Upgrade: websocket',
        'Connection: Upgrade',
        `Sec-WebSocket-Accept: ${acceptFor(request.headers['sec-websocket-key'] ?? '')}`,
        ...(protocol === undefined ? [] : [`Sec-WebSocket-Protocol: ${protocol}`]),
        '',
        '',
      ].join('\r\n'),
    )
    socket.on('error', () => {})
    echoFrames(socket, head)
  })
  server.listen(port, host)
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    open: () => open,
    sent: () => sent,
    connections: () => connections,
    requests: () => requests,
    close() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

function echo(request: IncomingMessage, response: ServerResponse): void {
  const hash = createHash('sha256')
  let length = 0
  request.on('data', (part: Buffer) => {
    length += part.length
    hash.update(part)
  })
  request.once('end', () => {
    const { method = '', url = '', rawHeaders: raw, rawTrailers: trailers } = request
    const said: Echo = { method, url, raw, length, sha: hash.digest('hex'), trailers }
    response.setHeader('Content-Type', 'application/json')
    response.end(JSON.stringify(said))
  })
}
