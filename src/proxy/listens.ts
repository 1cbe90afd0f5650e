import { connect } from 'node:net'
import { addressOf } from './routes.ts'

/** How long a server of this machine may take to accept a connection. */
const patienceMilliseconds = 1_000

/** Whether a server accepts connections; `localhost` is tried at both its addresses. */
export async function listens(to: string): Promise<boolean> {
  const { host, port } = addressOf(to)
  const isLocal = host === 'localhost' || host.endsWith('.localhost')
  const hosts = isLocal ? ['127.0.0.1', '::1'] : [host]
  const answers = await Promise.all(hosts.map((each) => accepts(each, port)))
  return answers.includes(true)
}

const accepts = (host: string, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host, port })
    const end = (answer: boolean): void => {
      socket.destroy()
      resolve(answer)
    }
    socket.setTimeout(patienceMilliseconds, () => end(false))
    socket.once('connect', () => end(true))
    socket.once('error', () => end(false))
  })
