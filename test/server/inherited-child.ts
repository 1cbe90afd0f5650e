import { spawnSync } from 'node:child_process'
import { createServer } from 'node:net'
import { RootlingError } from '../../src/errors.ts'
import { inheritedSockets } from '../../src/server/inherited.ts'
import { listen } from '../../src/server/listen.ts'

// Answers on each inherited socket with its name, and says where it listens, what went wrong, and
// which sockets and variables a child of it has.

const addresses: [name: string, address: string, port: number][] = []
let error: readonly [code: string, message: string] | null = null
try {
  for (const [name, descriptors] of inheritedSockets())
    for (const descriptor of descriptors) {
      const server = createServer((socket) => void socket.end(name))
      const at = await listen(server, '127.0.0.1', 443, 'port', { descriptor })
      addresses.push([name, at.address, at.port])
    }
} catch (thrown) {
  if (!(thrown instanceof RootlingError)) throw thrown
  error = [thrown.code, thrown.message]
}
const look = 'for at in 3 4 5 6; do test -S /dev/fd/$at && echo $at; done; env | grep ^LISTEN_'
const child = spawnSync('sh', ['-c', look], { encoding: 'utf8' }).stdout
console.log(JSON.stringify({ addresses, error, child }))
setTimeout(() => process.exit(), error === null && addresses.length > 0 ? 600_000 : 0)
