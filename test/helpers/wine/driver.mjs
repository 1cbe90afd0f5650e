// Runs under Wine, and starts programs there for a test on the other side: fstat of a descriptor that
// Linux opened says EBADF, so each program gets pipes of Windows. One TCP connection is one program:
// it takes a line of JSON (args, cwd, env, input), and later the line "kill"; it answers with lines.
import { spawn } from 'node:child_process'
import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { createInterface } from 'node:readline'

const [portFile] = process.argv.slice(2)
const server = createServer((socket) => {
  let child
  const say = (message) => socket.writable && socket.write(`${JSON.stringify(message)}\n`)
  socket.on('error', () => child?.kill())
  createInterface({ input: socket }).on('line', (line) => {
    if (line === 'kill') return child?.kill()
    const { args, cwd, env, input } = JSON.parse(line)
    mkdirSync(cwd, { recursive: true })
    child = spawn(process.execPath, args, { cwd, env: { ...process.env, ...env } })
    child.stdin.on('error', () => undefined)
    child.stdin.end(input ?? '')
    for (const name of ['stdout', 'stderr'])
      child[name].setEncoding('utf8').on('data', (text) => say({ [name]: text }))
    child.on('error', (error) => say({ stderr: error.message, exitCode: 127 }))
    child.on('close', (exitCode) => {
      say({ exitCode })
      socket.end()
    })
  })
})
server.listen(0, '127.0.0.1', () => {
  writeFileSync(`${portFile}.tmp`, String(server.address().port))
  renameSync(`${portFile}.tmp`, portFile)
})
