import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.util.List;
import org.apache.rocketmq.tools.command.MQAdminStartup;

/**
 * The stock tool, a command for each line of standard input (arguments with a unit separator between), in one JVM: alone, each
 * command takes three seconds to start and to wait for its network threads. After its output a line with an end mark.
 */
public class StockShell {
    public static void main(String[] args) throws Exception {
        Field commands = MQAdminStartup.class.getDeclaredField("subCommandList");
        commands.setAccessible(true);
        PrintStream out = System.out;
        System.setErr(out);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = in.readLine()) != null;) {
            // As in a process of its own: no command has run before.
            ((List<?>) commands.get(null)).clear();
            MQAdminStartup.main(line.split("\u001f"));
            out.print("\n\u0004\n");
            out.flush();
        }
        System.exit(0);
    }
}
