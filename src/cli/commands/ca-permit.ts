export async function caPermit(): Promise<never> {
  throw new Error('todo')
}
