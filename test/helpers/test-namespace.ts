import { onTestFinished } from 'vitest'
import { openNamespace, type Namespace, type NamespaceOptions } from './namespace.ts'

/** Opens a namespace as `openNamespace` does, and closes it when the test ends. */
export async function testNamespace(options?: NamespaceOptions): Promise<Namespace> {
  const namespace = await openNamespace(options)
  onTestFinished(() => namespace.close())
  return namespace
}
