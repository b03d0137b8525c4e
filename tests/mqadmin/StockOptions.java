import java.lang.reflect.Field;
import java.util.List;
import org.apache.commons.cli.Option;
import org.apache.commons.cli.OptionGroup;
import org.apache.commons.cli.Options;
import org.apache.rocketmq.srvutil.ServerUtil;
import org.apache.rocketmq.tools.command.MQAdminStartup;
import org.apache.rocketmq.tools.command.SubCommand;

/** The options of each stock command, a line each: command, letter, long name, required, has a value. Names only, no texts. */
public class StockOptions {
    public static void main(String[] args) throws Exception {
        MQAdminStartup.initCommand();
        Field field = MQAdminStartup.class.getDeclaredField("subCommandList");
        field.setAccessible(true);
        for (Object entry : (List<?>) field.get(null)) {
            SubCommand command = (SubCommand) entry;
            Options options = command.buildCommandlineOptions(ServerUtil.buildCommandlineOptions(new Options()));
            for (Object o : options.getOptions()) {
                Option option = (Option) o;
                OptionGroup group = options.getOptionGroup(option);
                String required = group != null && group.isRequired() ? "one of" : option.isRequired() ? "yes" : "no";
                System.out.println(String.join("\t", command.commandName(), option.getOpt(), option.getLongOpt(), required,
                    option.hasArg() ? "value" : "switch"));
            }
            System.out.println(command.commandName());
        }
    }
}
