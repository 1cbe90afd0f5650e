import { readFileSync } from 'node:fs'
import { limitGarbage } from '../../src/daemon/garbage.ts'
import { createProxyServer } from '../../src/proxy/proxy-server.ts'

// Runs the proxy as the daemon does in a process of its own, whose memory and CPU time can be measured.
limitGarbage()
const [cert = '', key = '', host = '', origin = ''] = process.argv.slice(2)
const app = { app: host, origin: new URL(origin) }
const server = await createProxyServer({
  host: '127.0.0.1',
  port: 0,
  pair: { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') },
  find: (asked) => (asked === host ? app : null),
  hosts: () => [host],
  now: () => new Date(),
  onError: (error) => console.error(error),
})
console.log(server.port)
