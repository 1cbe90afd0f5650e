import java.net.URI;

/** Fetches a URL with the trust store that this JVM has. */
public class Fetch {
  public static void main(String[] args) throws Exception {
    URI.create(args[0]).toURL().openStream().close();
  }
}
