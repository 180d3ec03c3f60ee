/** Which names mean this machine and no other. */

/** @param host a host with or without a port: `localhost:8000`, `127.0.0.1`, `[::1]:80` */
export function isLoopback(host: string): boolean {
  let name: string;
  try {
    name = new URL(`http://${host}`).hostname;
  } catch {
    return false;
  }
  return name === 'localhost' || name === '[::1]' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(name);
}
