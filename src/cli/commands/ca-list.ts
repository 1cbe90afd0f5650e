export async function caList(): Promise<never> {
  throw new Error('todo')
}
