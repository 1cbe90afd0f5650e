import { onTestFinished } from 'vitest'
import type { StateDirectory } from '../../../src/home/state-directory.ts'
import { createRevocationServer } from '../../../src/sites/revocation/server.ts'
import { fileStorage } from '../../../src/storage/files/storage.ts'

export interface Responder {
  readonly port: number
  readonly url: string
  /** What went wrong inside, in order. */
  readonly errors: readonly unknown[]
}

/** A responder on a free port of 127.0.0.1, closed when the test ends. */
export async function startResponder(
  state: StateDirectory,
  now: () => Date = () => new Date(),
  {
    hosts,
    proxies,
  }: { readonly hosts?: readonly string[]; readonly proxies?: readonly string[] } = {},
): Promise<Responder> {
  const errors: unknown[] = []
  const server = await createRevocationServer({
    storage: fileStorage(state),
    now,
    hosts,
    proxies,
    host: '127.0.0.1',
    port: 0,
    onError: (error) => errors.push(error),
  })
  onTestFinished(() => server.close())
  return { port: server.port, url: `http://127.0.0.1:${server.port}`, errors }
}
